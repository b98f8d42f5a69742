"""Addresses and credentials of archives, and the options of a command."""

import argparse
import dataclasses

import pytest

from big_rad.dicom import web_access
from big_rad.dicom.web_access import Access, Options

SECRET = "pass-word-7"
USER = {"DICOMWEB_USER": "alice", "DICOMWEB_PASSWORD": SECRET}
TOKEN = {"DICOMWEB_TOKEN": SECRET + "\n"}
URL = "https://pacs.example.org/dicom-web"


@pytest.mark.parametrize(
    "url, name",
    [
        (URL, "pacs.example.org"),
        (URL + "/", "pacs.example.org"),
        ("https://PACS.example.org:8443/a/b", "pacs.example.org:8443"),
        ("http://127.0.0.1:8042/dicom-web", "127.0.0.1:8042"),
        ("http://127.8.0.1", "127.8.0.1"),
        ("http://localhost:80", "localhost"),
        ("http://[::1]:8042/dicom-web", "[::1]:8042"),
    ],
)
def test_an_address_is_encrypted_or_on_this_machine(url, name):
    found = web_access.address(url)
    assert found.name == name and found.url == url.rstrip("/")
    assert not web_access.not_encrypted(found)


@pytest.mark.parametrize(
    "url",
    ["http://pacs.example.org/dicom-web", "http://10.0.0.1:8042", "http://127.0.0.1.example.org",
     "http://localhost.example.org", "http://[2001:db8::1]/", "http://0.0.0.0:8042"],
)  # fmt: skip
def test_http_to_another_machine_has_to_be_allowed_and_gives_a_warning(url):
    with pytest.raises(ValueError, match="not encrypted.*insecure_http"):
        web_access.address(url)
    assert "can be read" in web_access.not_encrypted(web_access.address(url, insecure_http=True))


@pytest.mark.parametrize(
    "url",
    ["", None, "pacs.example.org", "ftp://pacs.example.org", "file:///etc/passwd", "https://",
     "https://:443/", "https://a:99999", "https://a:0", "https://a:b", "https://a b/", "https://a\n",
     "https://[::1", "https://a\\@b/", "https://a..b/"],
)  # fmt: skip
def test_what_is_no_address_is_an_error(url):
    with pytest.raises(ValueError, match="no address of an archive; give one such as"):
        web_access.address(url)


@pytest.mark.parametrize(
    "url, why",
    [
        (f"https://alice:{SECRET}@a.example.org/x", "has a user or a password"),
        (f"http://{SECRET}@127.0.0.1/x", "DICOMWEB_PASSWORD"),
        (f"{URL}?key={SECRET}", r"pacs.example.org has a query"),
        (f"{URL}#{SECRET}", "fragment"),
    ],
)
def test_credentials_in_an_address_are_refused_without_being_quoted(url, why):
    with pytest.raises(ValueError, match=why) as caught:
        web_access.address(url)
    assert SECRET not in str(caught.value)


def test_credentials_come_from_the_environment(monkeypatch):
    for name in (*USER, *TOKEN):
        monkeypatch.delenv(name, raising=False)
    assert Access.from_environment().header() == {}
    monkeypatch.setenv("DICOMWEB_TOKEN", TOKEN["DICOMWEB_TOKEN"])
    assert Access.from_environment().header() == {"Authorization": f"Bearer {SECRET}"}
    basic = Access.from_environment({**USER, "DICOMWEB_PASSWORD": "ä:b"}).header()
    assert basic == {"Authorization": "Basic YWxpY2U6w6Q6Yg=="}  # RFC 7617, in UTF-8.


@pytest.mark.parametrize(
    "environ, why",
    [
        ({"DICOMWEB_USER": "alice"}, "DICOMWEB_PASSWORD is not set"),
        ({"DICOMWEB_PASSWORD": SECRET}, "DICOMWEB_USER is not set"),
        (USER | TOKEN, "both set"),
        (USER | {"DICOMWEB_USER": f"a:{SECRET}"}, "DICOMWEB_USER has a colon"),
        (USER | {"DICOMWEB_PASSWORD": f"{SECRET}\r\nX: y"}, "DICOMWEB_PASSWORD has characters"),
        ({"DICOMWEB_TOKEN": f"{SECRET} x"}, "DICOMWEB_TOKEN has characters"),
        ({"DICOMWEB_TOKEN": f"{SECRET}ä"}, "DICOMWEB_TOKEN has characters"),
    ],
)
def test_wrong_credentials_are_errors_that_do_not_quote_them(environ, why):
    with pytest.raises(ValueError, match=why) as caught:
        Access.from_environment(environ)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("environ", [USER, TOKEN])
def test_no_repr_shows_credentials_or_identifiers(environ):
    args = {"wado": URL, "study": "1.2.3.77", "series": "1.2.4.77", "stow": "https://b/path"}
    options = Options.parse(args, environ)
    assert options.access.header()
    for shown in (repr(options), str(options), repr(dataclasses.replace(options.access))):
        assert not [x for x in (SECRET, "alice", "1.2.3.77", "1.2.4.77", "/path") if x in shown]


def test_wrong_limits_and_certificates_are_errors(tmp_path):
    for wrong in (dict(tries=0), dict(timeout=0), dict(wait=float("nan")), dict(longest=-1.0)):
        with pytest.raises(ValueError, match="tries at least 1"):
            Access(**wrong)
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (empty, tmp_path / "missing.pem", tmp_path):
        with pytest.raises(ValueError, match="ca_file .* cannot be read, or has no certificates"):
            Access(ca_file=str(path))


def test_options_are_taken_from_argparse():
    parser = argparse.ArgumentParser()
    for name in ("wado", "stow", "study"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--insecure_http", action="store_true")
    args = ["--wado=http://a.example.org/x/", "--study= 1.2.3 ", "--insecure_http"]
    found = Options.parse(parser.parse_args(args), USER)
    assert (found.wado.url, found.stow, found.study) == ("http://a.example.org/x", None, "1.2.3")
    assert found.access == Access("alice", SECRET, insecure_http=True) and not found.series
    assert len(found.warnings) == 1 and found.warnings[0].startswith("a.example.org: http is not")
    only_stow = Options.parse(parser.parse_args([f"--stow={URL}"]), TOKEN)
    assert only_stow.stow.url == URL and only_stow.wado is None and not only_stow.warnings
    nothing = Options.parse(parser.parse_args([]), {"DICOMWEB_USER": "no password"})
    assert nothing == Options()


@pytest.mark.parametrize(
    "args, why",
    [
        ({"study": "1.2"}, "--study belongs to --wado or --stow"),
        ({"ca_file": "a.pem"}, "--ca_file belongs to"),
        ({"insecure_http": True}, "--insecure_http belongs to"),
        ({"wado": URL}, "--study is missing"),
        ({"stow": URL, "study": "1.2"}, "--wado is missing"),
        ({"stow": URL, "series": "1.2"}, "--series needs --wado and --study"),
        ({"wado": URL, "study": "Meier^Anna"}, "--study is not a UID"),
        ({"wado": URL, "study": "../1.2"}, "--study is not a UID"),
        ({"wado": URL, "study": "1." * 32 + "1"}, "--study is not a UID"),
        ({"wado": URL, "study": "1.2", "series": "Meier^Anna"}, "--series is not a UID"),
        ({"wado": "pacs", "study": "1.2"}, "--wado is no address"),
        ({"stow": f"https://x:{SECRET}@pacs"}, "--stow has a user"),
        ({"stow": "http://pacs"}, "--stow on pacs is not encrypted.*--insecure_http"),
        ({"stow": URL, "ca_file": "missing.pem"}, "ca_file missing.pem cannot be read"),
    ],
)
def test_wrong_options_are_named_and_not_quoted(args, why):
    with pytest.raises(ValueError, match=why) as caught:
        Options.parse(args, USER)
    assert "Meier" not in str(caught.value) and SECRET not in str(caught.value)
