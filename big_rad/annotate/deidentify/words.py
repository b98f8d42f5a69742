"""Words that must not be taken for names, and words that stand around names."""

from big_rad.annotate.deidentify import spelling


def _set(text: str) -> frozenset[str]:
    return frozenset(spelling.spelled(text).lower().split())


# What headers hold in place of a name. These never identify anybody.
PLACEHOLDERS = _set(
    """
    anonymous anonym anonymized anonymised anonymisiert unknown unbekannt none null patient
    patients patientin patienten test tester name names vorname nachname phantom dicom demo
    sample noname nn na nil keine kein no unnamed subject case number date contact place
    undefined deleted removed geloescht
    """
)
# Ordinary words, many of which are names too. A patient of such a name is only found beside
# a title, an initial or another part of the name, or if an adjective is written like a name.
ADJECTIVES = _set(
    """
    klein gross lang kurz weiss schwarz braun gruen rot blau roth grau jung alt neu reich stark
    schnell krumm breit schmal hoch nieder gut guth hart weich kluge klug ernst scharf stumpf
    still schoen schoene dick duenn grob fein dunkel hell warm kalt trocken rund gerade schraeg
    spitz voll leer frei fest links rechts ganz halb letzt erst white black brown green gray
    grey red long short small little young old new rich strong sharp good best wild sweet gold
    silver high low deep large great major minor early late quick right left fine close wide
    narrow bright lange grosse kleine kurze neue alte weisse schwarze rote graue harte kalte warme
    freie volle leere runde breite tiefe feine dicke
    """
)
NOUNS = _set(
    """
    herz leber niere milz magen darm lunge lungen rippe rippen kopf hals arm arme bein beine
    hand haende fuss fuesse knie huefte becken schulter ruecken brust bauch haut haar nase ohr
    auge augen mund zahn zunge kinn stirn wange finger daumen zehe wirbel knochen sehne muskel
    nerv vene arterie gefaess aorta galle gallenblase blase blut stein steine baum ast zweig
    blatt krebs sommer winter herbst fruehling freitag sonntag montag mai april august morgen
    abend nacht tag kern kerne ring ringe kugel kranz krone sattel band baender klammer nagel
    hammer schraube platte platten stab stange kette keil haken spange draht stift ende mitte
    rand linie flaeche punkt loch bogen brueck bruecke winkel spalt spalte rinne kanal gang rohr
    schlauch wand wall mauer kammer kamm kappe kapsel kegel kolben luft wasser fett fluss see
    meer sand erde rauch stern licht schatten glas eisen stahl kupfer gold silber zell zelle
    zyste tumor schmerz salz befund bild bilder arzt doktor frage fall klinik kontrolle serie
    schicht ebene seite phase reihe heart head hands foot feet arms leg legs rib ribs chest back
    neck hip knee shoulder bone bones body brain skull lung lungs liver spleen kidney bladder
    bowel colon stomach spine disc vein artery vessel nerve muscle tendon joint skin eye ear
    nose mouth tooth tongue chin cheek stone field tree branch leaf root flower bell ball case
    cases day days may june summer spring grant mark marks will bill art pat iris ray rays price
    well marsh gate bridge cross post hook nail screws cyst mass lesion node nodes scan scans
    view views plane series slice contrast stage base side sides edge tip floor roof canal duct
    tube cord sheath cap plate rod burn pain mann frau herr dame child kind kinder sohn tochter
    """
)
FUNCTION = _set(
    """
    der die das den dem des ein eine einer eines einem einen und oder aber auch als an am auf
    aus bei beim bis da dabei dann doch durch fuer gegen hat haben ist sind war waren wird
    werden wurde im in ins ja je man mit nach nicht noch nur ob ohne schon sehr sich sie er es
    so ueber um unter vom von vor weil wenn wie wieder wir zu zum zur zwischen kein keine keinen
    keiner the a and or but of at by for from into is are was were be been has have had he her
    his him i it its no nor not on to too this that these those than then there here with
    without within bitte danke please thanks siehe vgl ca kontrolle who whom whose which while
    will would shall should could can may might must do does did done all any some both each few
    more most much many other such only own same very we you your our us they them their she my
    me if else as up down out off over under again once via per
    """
)
# Words of reports, folders, files and headers that are neither names nor places.
REPORT = _set(
    """
    abdomen abdominal abdominell thorax thorakal schaedel becken pelvis pelvic mediastinum
    mediastinal spine lumbar cervical thoracic lws hws bws wirbelsaeule extremitaet extremity
    ganzkoerper oberbauch unterbauch oberschenkel unterschenkel sprunggelenk ellenbogen
    handgelenk axial axiale coronal koronar coronale koronare sagittal sagittale transversal
    transverse oblique native nativ contrast kontrast kontrastmittel arterial arteriell venous
    venoes portal portalvenoes delayed spaet late early phase ohne without mit with post pre
    plain enhanced image images img scan scans series serie serien study studie studien report
    reports befund befunde bericht berichte patient patients patienten pat data daten dataset
    export exports import input output mask masks maske masken seg segs segmentation
    segmentations label labels volume volumes vol nii nifti dcm dicom gz txt json csv xlsx zip
    tar raw final clean cleaned new old copy kopie temp tmp test train val validation version
    archive archiv pacs ris his folder files file ordner datei home mnt user users root work
    share public private original derived primary secondary reformatted mpr mip localizer scout
    topogram dose screen protocol protokoll routine standard head chest body brain lung liver
    kidney spleen knee hip shoulder heart neck leg foot arm leber niere milz lunge herz kopf
    hals schulter knie huefte fuss hand wirbel weiss tse flair dwi adc swi tof stir haste vibe
    mprage space trufi fse fspgr gre epi dti ssfp propeller blade dixon water fat inphase
    opposed opp diffusion perfusion angio angiography angiographie cta mra mrcp cct ctpa hrct
    lowdose low high resolution soft tissue bone kernel weichteil knochen weichteilfenster
    lungenfenster knochenfenster fenster window thin thick slice slices schicht schichten duenn
    dick rekonstruktion reconstruction recon helical spiral siemens philips toshiba canon
    hitachi medical systems healthcare healthineers ge magnetom somatom avanto aera skyra prisma
    vida trio verio symphony sensation definition force edge flash drive lightspeed revolution
    discovery optima signa ingenia achieva intera brilliance ingenuity aquilion tomography
    tomographie computed computertomographie magnetresonanztomographie radiology radiologie
    radiologisch diagnostic diagnostik imaging bildgebung hospital klinik klinikum freesurfer
    spm fsl ants realigned registered resampled warped stripped normalized smoothed template
    average mean mni talairach atlas aal time phaseencoding none anatomical functional anat func
    ses sub run task rest bold first second third left right links rechts both beide beidseits
    male female mann frau maennlich weiblich divers age alter birth geburt followup verlauf
    verlaufskontrolle kontrolle staging restaging notfall emergency ambulant stationaer oncology
    onkologie trauma polytrauma surgery chirurgie neurology neurologie january february march
    april may june july august september october november december januar februar maerz mai juni
    juli oktober dezember jan feb mar apr jun jul aug sep sept okt oct nov dez dec sturz schmerz
    schmerzen druckschmerz unfall operation op therapie behandlung entlassung normal auffaellig
    unauffaellig regelrecht fraktur fracture tumor metastase metastasis metastases cyst zyste
    oedem edema effusion erguss embolie embolism stenose stenosis infarkt infarction blutung
    bleeding hemorrhage pneumonie pneumonia findings impression beurteilung technik technique
    indication indikation fragestellung klinische angaben anamnese history comparison vergleich
    voraufnahme voruntersuchung zustand empfehlung nachweis hinweis ausschluss verdacht
    untersuchung darstellung aufnahme aufnahmen uebersicht organ organe gefaesse lymphknoten
    follow up befundtext befundtexte texte text deutsch englisch german english
    totalsegmentator verlaufskontrollen sehr geehrte geehrter
    kollege kollegin kollegen herr herrn dr prof med mrt ct mr kst us
    diabetes mellitus hypertonie hypertension carcinoma karzinom lymphom lymphoma
    """
)
TITLES = _set(
    "herr herrn frau hr fr mr mrs ms miss dr prof pat patient patientin patienten familie fam sir "
    "professor doktor doctor kollege kollegin kollegen schwester"
)
PARTICLES = _set(
    "von van der den de del della di da do dos du la le el al ter ten zu zum zur vom bin ibn "
    "af av y e und auf"
)
# Words of institutions that name no place by themselves.
INSTITUTION = _set(
    """
    universitaetsklinikum universitaetsklinik universitaet uniklinik uniklinikum university
    universitaetsmedizin klinikum klinik klinken kliniken krankenhaus hospital hospitals clinic
    clinics medical medicine medizin medizinisches medizinische center centre zentrum institut
    institute praxis practice gemeinschaftspraxis radiologie radiologische radiologisches
    radiology neuroradiologie nuklearmedizin nuclear diagnostische diagnostic interventionelle
    imaging abteilung department dept division general regional city community public national
    royal state county stadt kreis landes bundes bezirk kreiskrankenhaus stadtkrankenhaus sankt
    saint st health healthcare care services service foundation trust stiftung gmbh ggmbh mvz ag
    ev ltd inc strasse street road avenue platz allee weg haus building gebaeude station ward
    tor ebene floor deutschland germany schweiz oesterreich usa states united kingdom north
    south east west nord sued ost kinder children childrens frauen women maenner herz heart
    cancer krebs tumor unfall
    """
)
ORDINARY = ADJECTIVES | NOUNS | FUNCTION | REPORT
