"""A real archive, Orthanc with its DICOMweb plug-in, on this machine."""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import time

PLUGINS = [
    pathlib.Path(folder, "libOrthancDicomWeb.so")
    for folder in ("/usr/share/orthanc/plugins", "/usr/local/share/orthanc/plugins")
]
PROGRAM = shutil.which("Orthanc")
PLUGIN = next((str(path) for path in PLUGINS if path.exists()), None)
MISSING = "Orthanc with its DICOMweb plug-in is not installed: apt-get install orthanc-dicomweb"


@contextlib.contextmanager
def running(folder, user, password):
    """Yields the address of an empty archive, which keeps everything in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,  # It listens on loopback alone.
        "AuthenticationEnabled": True,
        "RegisteredUsers": {user: password},
        "Plugins": [PLUGIN],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAM, str(folder / "config.json")], stdout=log, stderr=log, cwd=folder
        )
    try:
        _wait(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}/dicom-web"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(port, process, log):
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"Orthanc did not start:\n{log.read_text()[-2000:]}")
