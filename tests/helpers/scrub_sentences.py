"""Sentences for the scrubber: medicine that must stay, and identifiers that must go."""

MEDICINE = """
Leber o. B., Milz nicht vergrößert.
Bandscheibenvorfall L4/5 mit Kompression der Wurzel L5 rechts.
Fraktur von Th12 und L1, Spinalkanal frei.
HWK 3 bis 5 mit Spondylosteophyten.
LWK 4/5 mit Facettengelenksarthrose, BWK XII unauffällig.
4. Rippe links mit nicht dislozierter Fraktur.
5.-7. Rippe links frakturiert.
Rippen 8-9-10 rechts frakturiert.
Zyste in Segment IVa, 3.5 x 2 cm.
Raumforderung von 12 x 8 x 15 mm im Oberlappen.
Nodulus 8 mm im Segment 6 rechts (Serie 4, Bild 57).
Bosniak IIF im Nierenunterpol links.
Morbus Crohn mit Befall des terminalen Ileum.
Verdacht auf Morbus Bechterew.
M. Wegener mit pulmonalen Knoten.
Granulomatose vom Typ Wegener, Herde bis 2 cm.
Hashimoto-Thyreoiditis bekannt.
PI-RADS 4 in der peripheren Zone rechts.
BI-RADS 2 beidseits.
LI-RADS LR-5 in Segment VIII.
TI-RADS 3, Knoten 1,2 cm.
Stadium T2 N1 M0.
pT3 pN1 (2/14) M0 R0 G2.
Stanford A Dissektion der Aorta ascendens.
DeBakey I.
MRT am 1.5 T mit KM.
Untersuchung an einem 3 T Gerät.
KM 80 ml Imeron 400 i.v.
Kontrastmittel: 7 ml Gadovist.
120 ml Ultravist 370, Fluss 3 ml/s.
Spätphase nach 3 Min.
Nach 10 min Delay erneute Serie.
Dichte 45 HU nativ, 95 HU portalvenös.
TE 12/24/36 ms, TR 2500 ms.
b-Werte 50, 400, 800 s/mm2.
b = 50/400/800 s/mm².
ADC 0.8 x 10-3 mm2/s.
DLP 450 mGy*cm, CTDIvol 8,3 mGy.
EF 55 %, LV-Masse 120 g.
Z. n. Splenektomie, Z. n. Cholezystektomie.
V. a. Lungenembolie, D-Dimere 2.5 mg/l.
A. iliaca communis li. mit Stenose.
V. cava inferior frei.
N. ulnaris nicht verdickt.
Aa. renales beidseits zart.
M. psoas symmetrisch.
Chassaignac-Höcker unauffällig.
Baker-Zyste in der Kniekehle, 4 cm.
Os odontoideum, Dens Typ II nach Anderson.
Fraktur Typ B nach Weber.
AO-Klassifikation 31-A2.
Schatzker III.
Garden IV Fraktur rechts.
Modic 1 Veränderungen L5/S1.
Pfirrmann Grad 4.
Meyerding Grad I.
Fazekas 2.
Fisher Grad 3.
ASPECTS 8.
Evans-Index 0,32.
Cobb-Winkel 25 Grad.
Kellgren und Lawrence Grad 3.
Mason-Allen-Naht intakt.
CT Abdomen mit Kontrastmittel, Schichtdicke 5 mm.
Rekonstruktion in 1.25/0.8 mm.
T1w, T2w TSE, FLAIR, DWI, SWI, TOF.
T2 STIR sagittal, T1 FS nach KM.
Leberlappen rechts 15,5 cm in der MCL.
Gallenweg 8 mm weit.
Luftweg frei, Atemweg frei.
DHC 6 mm, Ductus pancreaticus 2 mm.
Harnblase 300 ml gefüllt.
Heparin 15000 Einheiten.
Port-Katheter, Spitze in der V. cava superior.
14 Fr Thoraxdrainage rechts.
Doppel-J-Katheter links.
Patient in Rückenlage, Arme über dem Kopf.
Patient nach Sturz, Schmerzen rechts.
Beim Patienten Nachweis von Lungenmetastasen.
Patientin mit Mammakarzinom.
Frau mit Unterbauchschmerzen.
Mann mit Sturz.
65-jährige Patientin mit Rückenschmerzen.
Alter 45 Jahre, Sturz auf die Hüfte.
Kleines Becken unauffällig, große Zyste links.
Stark vergrößerte Milz, lang gestreckter Verlauf.
Das Herz ist nicht vergrößert.
Weiße Substanz mit Gliose, Braunes Fett aktiviert.
Kein Stein im Ureter, Steine in der Gallenblase.
Mit freundlichen kollegialen Grüßen.
Mit freundlichen Grüßen
Sehr geehrte Frau Kollegin, sehr geehrter Herr Kollege,
Befund: Lunge frei. Beurteilung: Kein Infiltrat.
Technik: Spiral-CT, 120 kV, 80 mAs.
Beurteilung: Unauffälliger Befund.
Fragestellung: Metastasen? Vergleich: keine Voraufnahme.
Arzt: Bitte Kontrolle.
OA Knie rechts, Grad 2.
CA der Prostata, Gleason 7 (3+4).
Schwester-Maria-Joseph-Knoten periumbilikal.
Schulter: Supraspinatus 2.5 cm retrahiert, Goutallier 2.
Kontrolle in 3-6 Monaten empfohlen.
Verlaufskontrolle in 12 Monaten.
Größe 3,4 x 2,1 cm (vorher 2,9 x 1,8).
Von 2.1 auf 3.4 cm größenprogredient.
Abstand 10.12 mm, Winkel 3.4.
Liver is normal. No focal lesion.
L4/5 disc protrusion with S1 nerve root contact.
C5-C6 and C6-C7 osteophytes.
T12 compression fracture, 30% height loss.
5 mm nodule in the RUL (series 4, image 57).
Nodule measures 1.2 x 0.8 x 1.5 cm.
Crohn's disease with terminal ileitis.
Hodgkin lymphoma, Deauville 4.
Wilms tumor of the left kidney.
Baker's cyst, 4.1 cm.
Bosniak 2F cyst at the lower pole.
Kerley B lines, Hampton hump.
Hounsfield units of 45.
Hill-Sachs lesion and Bankart lesion.
Schmorl's nodes at T11 and T12.
Chiari I malformation.
Rathke cleft cyst.
Virchow-Robin spaces.
Meckel's cave is clear.
Fracture of the left 5th and 6th ribs.
The patient was scanned on a 3T scanner.
Patient is status post splenectomy.
MR of the brain without contrast.
MR. Brain is normal.
Ms imaging criteria are fulfilled.
We did not miss a lesion.
No acute intracranial hemorrhage, midline shift or mass effect.
Findings may represent scar. May be followed in 3 months.
March fracture of the 2nd metatarsal.
FA, MD and ADC maps are normal.
Technique: 120 kVp, 250 mAs, 0.625 mm slices.
Impression: No pulmonary embolism.
Contrast: 100 ml Omnipaque 350 at 4 ml/s.
b-values of 100-500-1000 s/mm2.
b 400 800 1000.
TI 2200 ms, TE 2.46 ms, TR 9000 ms.
SUVmax 12.4 in level IIa nodes.
Ejection fraction 60 %, EDV 145 ml.
Aorta 3.4 cm, previously 3.1 cm.
TIMI 3 flow. AAST grade III.
Gleason 4+3=7, PSA 12.5.
Stable since the prior study, follow-up in 6-12 months.
Case discussed at the tumor board.
Study no contrast was given.
Prior exam no 2 cm lesion seen.
A 65-year-old man with chest pain.
45 yo female, fall.
Right hip: Garden III. Left hip: no fracture.
Long head of the biceps is intact.
White matter changes, gray matter normal.
Small bowel is not dilated. Large bowel is normal.
Left main, LAD, LCx and RCA are patent.
Stone in the right ureter, 4 mm.
Dr. recommends follow-up.
Order: axial, coronal, sagittal.
Page 1/2
1. Kein Tumor. 2. Keine Metastasen. 3. Steatosis hepatis.
1) Normal liver. 2) Normal spleen.
Koronar 3/3 mm, axial 2/2 mm.
Score 0/1/2 Punkte.
S2-Leitlinie, S3.
Serie 4/57, Serie 5, Bild 12/120.
Uhr: 12-Uhr-Position der Prostata.
Herd bei 3 Uhr, 4 cm von der Mamille.
Ross-Operation, Fontan-Kreislauf.
Weber-B-Fraktur links, Maisonneuve ausgeschlossen.
In der Klinik Druckschmerz im rechten Unterbauch.
Im Krankenhaus Sturz aus dem Bett.
Hospital course was uneventful.
10-20 % Stenose, 50.000 Thrombozyten.
Kreatinin 1,2 mg/dl, GFR 60 ml/min.
CRP 123, Leukozyten 12.500.
Lymphknoten Level II-V, bis 1.1.
Befall von 3/12 Lymphknoten.
Dosis 2 x 75 Gy, 35 x 2.0 Gy.
""".strip().splitlines()

# Each line: a sentence, then " | " and the identifiers in it, separated by ";".
IDENTIFIED = """
Frau Erika Mustermann, Leber o. B. | Erika;Mustermann
Herr Müller klagt über Schmerzen. | Müller
Bei Herrn Dr. Schulze-Boysen Zyste links. | Schulze;Boysen
Herr Prof. Dr. med. Hans Meier | Hans;Meier
Rücksprache mit Dr. Weber. | Weber
Rücksprache mit OA Dr. Lehmann um 14 Uhr. | Lehmann
Besprochen mit PD Dr. Kowalski. | Kowalski
HERR MUELLER, LEBER O. B. | MUELLER
Fr. Schmidt: Niere frei. | Schmidt
Hr. Yılmaz nach Sturz. | Yılmaz
Familie Özdemir wurde informiert. | Özdemir
Sehr geehrter Herr Kollege Brandt, | Brandt
Sehr geehrte Frau Kollegin Dr. Vogel, | Vogel
Herr van der Berg | Berg
Herr von Trotha | Trotha
Frau Ann-Kathrin Lüdenscheidt | Ann;Kathrin;Lüdenscheidt
Mr. Smith presents with pain. | Smith
Mrs Jane Doe has a cyst. | Jane;Doe
Ms. O'Brien was scanned. | Brien
Dr. J. Doe was informed. | Doe
Discussed with Dr. Patel at 3 pm. | Patel
Reported by John Q. Publicover | John;Publicover
Electronically signed by Jane Roe, MD | Jane;Roe
Dictated by: Henry Jekyll | Henry;Jekyll
John Watson, MD | John;Watson
Referring physician: Gregory House | Gregory
Name: Mustermann, Erika | Mustermann;Erika
Patientenname: Mustermann, Erika | Mustermann;Erika
Patient: Max Mustermann | Max;Mustermann
Patient: MUSTERMANN, MAX | MUSTERMANN;MAX
Nachname: Öztürk | Öztürk
Befunder: Dr. Anna Schäfer | Anna;Schäfer
Untersucher: Thiele | Thiele
Zuweiser: Dr. Gernot Hassknecht | Gernot;Hassknecht
Überweiser: Praxis Dr. Lohmann | Lohmann
Radiologist: Amy Farrah | Amy;Farrah
gez. Dr. Petersen | Petersen
gez. Krause | Krause
i. A. Hoffmann | Hoffmann
Mit freundlichen Grüßen\\nDr. med. Sabine Voss\\nOberärztin | Sabine;Voss
Mit freundlichen Grüßen\\n\\nPeter Hagedorn | Peter;Hagedorn
Best regards,\\nAlice Cooper | Alice
Meier, geb. Schulze | Schulze
Mustermann, Erika, geb. 03.04.1965 | Mustermann;Erika;03.04.1965
Erika Mustermann, geboren am 3. April 1965 | Mustermann;3. April 1965
Max Mustermann *03.04.1965 | Mustermann;03.04.1965
geb. am 03.04.65 | 03.04.65
geb. 1965 | 1965
Jahrgang 1948, Sturz. | 1948
DOB: 04/03/1965 | 04/03/1965
born 3 April 1965 | 3 April 1965
born on April 3, 1965 | April 3, 1965
Untersuchung vom 3.4.2021 | 3.4.2021
CT vom 03.04.21 | 03.04.21
Study of 2021-04-03 | 2021-04-03
Study of 2021/04/03 | 2021/04/03
MRT vom 3. April 2021 | 3. April 2021
MRT vom 3.April 2021 | 3.April 2021
MRI of 3 Apr 2021 | 3 Apr 2021
MRI of Apr 3, 2021 | Apr 3, 2021
MRI of April 3rd, 2021 | April 3rd, 2021
CT 03-APR-2021 | 03-APR-2021
VU vom 3.4. zum Vergleich | 3.4.
Voruntersuchung von April 2021 | April 2021
Aufnahme 04/2021 | 04/2021
Vom 12. März 2020 | 12. März 2020
03. 04. 2021 durchgeführt | 03. 04. 2021
Datum: 20210403 | 20210403
3. IV. 2021 | 3. IV. 2021
on 12/24/2020 | 12/24/2020
Tel. 0711/123456 | 123456
Tel.: 0711 1234-567 | 1234-567
Telefon +49 711 123456 | 711
Rückruf unter 0171-1234567 | 1234567
Fax: (0711) 12345-67 | 12345
DECT 4711 | 4711
Durchwahl -4711 oder Pager 8812 | 8812
Phone: 555-123-4567 | 555-123-4567
Call back at (555) 123-4567 | 123-4567
Reach me at +1 555 123 4567 | 555
erika.mustermann@klinik-musterstadt.de | mustermann;klinik-musterstadt
Mail: e.mustermann@example.org | mustermann
siehe https://ris.klinik.de/study?id=4711 | 4711;klinik
www.radiologie-musterstadt.de | musterstadt
radiologie-musterstadt.de | musterstadt
Pat.-Nr. 4711 | 4711
Pat.-ID: 0004711 | 0004711
Patienten-ID: P-4711-22 | 4711
Fall-Nr.: 123456 | 123456
Fallnummer: 2021/4711 | 4711
Auftragsnummer: A12345 | A12345
Aufnahmenummer: 98765 | 98765
Accession number: ACC2021X77 | ACC2021X77
Accession: 8812345 | 8812345
MRN: 123-45-67 | 123-45-67
MRN 00123456 | 00123456
SSN 123-45-6789 | 6789
123-45-6789 | 6789
NHS No. 943 476 5919 | 5919
Versichertennummer: A123456789 | A123456789
A123456789 | A123456789
ID: 471122 | 471122
1.2.840.113619.2.55.3.604688 | 604688
Studie 12345678 | 12345678
Musterstraße 12, 12345 Musterstadt | Musterstraße;Musterstadt;12345
Wohnhaft Am Markt 5, 70173 Stuttgart | Markt;Stuttgart
Hauptstr. 7a | Hauptstr
Lange Straße 12 | Lange Straße 12
Bahnhofsplatz 3, D-88212 Ravensburg | Bahnhofsplatz;Ravensburg
221 Baker Street | Baker
12 Main St, Springfield, IL 62704 | Main;Springfield;62704
lives in Springfield | Springfield
wohnhaft in Bad Homburg | Homburg
SW1A 1AA | SW1A
Klinikum Ludwigsburg | Ludwigsburg
Universitätsklinikum Heidelberg | Heidelberg
Krankenhaus Musterstadt | Musterstadt
St. Mary's Hospital | Mary
Springfield General Hospital | Springfield
Mount Sinai Hospital | Sinai
Der Befund wurde Dr. med. A. Öztürk mitgeteilt. | Öztürk
Discussed with Dr. Amy Winehouse-Smith on 5/4/21 | Amy;Winehouse;Smith;5/4/21
Electronically signed by: Smith, John A., MD on 05/04/2021 14:35 | Smith;John;05/04/2021
Dres. Müller und Schmidt | Müller;Schmidt
Arzt i. W. Peter Sander | Peter;Sander
OÄ Dr. Sander, FÄ Weber | Sander;Weber
Ehefrau Klara Sonnenschein wurde informiert. | Klara;Sonnenschein
Sohn: Max Sonnenschein | Max;Sonnenschein
Name des Patienten: Sonnenschein Klara | Sonnenschein;Klara
SONNENSCHEIN, KLARA  F  12.11.1987 | SONNENSCHEIN;KLARA;12.11.1987
Geburtsname: Regenbogen | Regenbogen
Herr Schwarz, Frau Weiß, Herr Herz | Schwarz;Weiß;Herz
Hr Sonnenschein, Fr Sonnenschein | Sonnenschein
Vers.-Nr. 65 170839 J 003 | 170839
KH Konstanz, Abt. Radiologie | Konstanz
Pat. Klara Sonnenschein, *12.11.1987 | Klara;Sonnenschein;12.11.1987
Ihre Patientin Klara Sonnenschein | Klara;Sonnenschein
OA Lehmann: Leber unauffällig. | Lehmann
Ass.-Arzt Quandt: Leber unauffällig. | Quandt
Koll. Schmidt sah die Leber. | Schmidt
der Pat. Krause hat eine Leberzyste. | Krause
Patientin Krause-Meier: Leber unauffällig. | Krause;Meier
Schwester Monika: Leber punktiert. | Monika
Attending Brown confirmed the liver cyst. | Brown
RN Kelly noted it. | Kelly
The patient, Smith, has a cyst. | Smith
Discussed with Dr. d'Angelo. | Angelo
Frau Dr. A.-B. Knüller: Milz unauffällig. | Knüller
Mx. Green has a cyst. | Green
Fall 2021/4711 | 4711
Patient John Smith was scanned. | John;Smith
Accession Number: CT-21-004455 | 004455
Kopie: Hausarzt Dr. Alois Huber, Dorfstr. 5, 83022 Rosenheim | Alois;Huber;Dorfstr;Rosenheim
E-Mail: k.sonnenschein (at) gmx.de | sonnenschein
92-jährige Patientin | 92
A 94-year-old man | 94
Alter: 91 | 91
Sie ist 90 Jahre alt. | 90
""".strip().splitlines()


def identified():
    """Yields (sentence, list of identifiers in it)."""
    for line in IDENTIFIED:
        text, planted = line.replace("\\n", "\n").rsplit(" | ", 1)
        yield text, planted.split(";")
