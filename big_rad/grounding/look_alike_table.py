"""Words that look like anatomy but name no class, and the heads of German compounds, as plain data.

`lexicon` reads these tables. A phrase of `EN` or `DE` claims its words, so that no organ is found
in them: "hepatic artery" is not the liver, and "heart rate" is not the heart. The words are
separated by semicolons, written in the singular and without a side. The endings of
German adjectives do not matter.
"""

EN = (
    # Vessels, nerves and ducts that are no class.
    "hepatic artery; common hepatic artery; proper hepatic artery; hepatic vein; hepatic duct; "
    "common hepatic duct; renal artery; renal vein; renal vessel; renal hilar vessel; splenic "
    "artery; gastric artery; left gastric artery; gastric vein; adrenal vein; adrenal artery; "
    "pulmonary artery; pulmonary arterial; main pulmonary artery; pulmonary trunk; pulmonary "
    "embolism; pulmonary embolus; pulmonary emboli; pulmonary vessel; pulmonary vasculature; "
    "pulmonary vascular; pulmonary hypertension; pulmonary circulation; pulmonary arterial "
    "hypertension; femoral artery; common femoral artery; superficial femoral artery; deep femoral "
    "artery; femoral vein; common femoral vein; superficial femoral vein; femoral vessel; femoral "
    "nerve; femoral hernia; femoral access; femoral canal; vertebral artery; cerebral artery; "
    "middle cerebral artery; anterior cerebral artery; posterior cerebral artery; cerebral vein; "
    "cerebral vessel; cerebral vasculature; internal cerebral vein; cerebellar artery; posterior "
    "inferior cerebellar artery; superior cerebellar artery; cardiac vein; internal carotid "
    "artery; external carotid artery; internal carotid; external carotid; carotid bulb; carotid "
    "bifurcation; carotid sheath; carotid space; carotid canal; carotid siphon; cavernous carotid; "
    "subclavian vein; axillary vein; intestinal artery; colonic artery; pancreaticoduodenal "
    "artery; duodenal artery; gastroduodenal artery; rectal artery; prostatic artery; thyroid "
    "artery; thyroid vein; bronchial artery; sacral nerve; sacral plexus; sacral nerve root; "
    "lumbosacral plexus; sacral foramen; sacral artery; sacral canal; sacral decubitus; sacral "
    "ulcer; sacral edema; iliac fossa; iliac lymph node; iliac node; iliac region; iliac stent; "
    "intervertebral foramen; intervertebral foramina; neural foramen; spinal canal; vertebral "
    "canal; central canal; spinal canal stenosis; central canal stenosis; spinal stenosis; spinal "
    "canal narrowing; lumbar spinal canal; cervical spinal canal; thoracic spinal canal; lumbar "
    "spinal stenosis; cervical spinal stenosis; facet cyst; renal fascia; "
    "renal transplant artery; cardiac plexus; coronary artery; coronary sinus; aortic plexus; "
    "splenic vessel; hepatic vessel; hepatic vasculature; portal triad; lobe bronchus; upper lobe "
    "bronchus; lower lobe bronchus; middle lobe bronchus; lobar bronchus; lingular bronchus; lobe "
    "bronchi; upper lobe artery; lower lobe artery; lower lobe pulmonary artery; upper lobe "
    "pulmonary artery; lobe pulmonary artery; lingular artery; lobe arteries; lower lobe arteries; "
    "upper lobe arteries; humeral artery; circumflex humeral artery; suprascapular nerve; tracheal "
    "tube; esophageal tube; esophageal temperature probe; "
    # Spaces, fat, nodes and regions beside an organ.
    "renal fossa; transplant kidney; kidney transplant; renal transplant; renal allograft; "
    "nephrectomy bed; splenic fossa; splenic bed; hepatic fossa; hepatorenal; hepatorenal recess; "
    "splenorenal; splenorenal shunt; gastrohepatic ligament; hepatoduodenal ligament; hepatic "
    "hilar node; esophageal hiatus; "
    "aortopulmonary window; aortic hiatus; aorticopulmonary window; cerebellopontine angle; "
    "cerebrospinal fluid; cerebral palsy; pulmonary ligament; pulmonary hilum; cardiac apex beat; "
    "cardiophrenic angle; costal margin; costal pleura; costal arch; prostatic urethra calculus; "
    "bladder outlet obstruction syndrome; pontine cistern; cerebellomedullary cistern; pelvic "
    "floor; pelvis; small pelvis; lesser pelvis; pelvic cavity; aortocaval; interaortocaval; hip "
    "effusion; sacroiliac joint; sacroiliac; costochondral junction; sternoclavicular joint; "
    "acromioclavicular joint; glenohumeral joint; thyroid bed; thyroid fossa; thyroid cartilage; "
    "cricoid; prostatectomy bed; rectal gas; vesicular breathing; vesicoureteral; vesicoureteric "
    "junction; rectouterine; rectovesical; rectal sheath; rectus sheath; cardiac tamponade; "
    "cardiac device; bowel gas; bowel preparation; rectal contrast; rectal tube; intestinal gas; "
    "mastoid portion of the facial nerve; popliteal; knee; gastric band; gastric tube; gastric "
    "bypass tube; lung window; "
    # Look-alikes: terms of physics, pictures and other organs.
    "gastroesophageal reflux; maxillary antrum; mastoid antrum; cerebral venous sinus; cerebral "
    "venous sinuses; dural venous sinuses; dural "
    "venous sinus; brain natriuretic "
    "peptide; gluteal subcutaneous; subcutaneous gluteal; gluteal fat; gluteal region; gluteal "
    "injection; short axis; long axis; short axis diameter; long axis "
    "diameter; axis deviation; vertical "
    "axis; horizontal axis; longitudinal axis; central axis; main axis; mechanical axis; axis of "
    "rotation; left axis deviation; celiac axis; coeliac axis; craniocaudal axis; anatomic axis; z "
    "axis; x axis; y axis; axis view; short axis view; long axis view; four chamber; atlas view; "
    "brain atlas; reference atlas; anatomical atlas; heart rate; heart beat; heartbeat; cardiac "
    "output; cardiac gating; cardiac gated; cardiac rhythm; cardiac cycle; cardiac phase; cardiac "
    "arrest; cardiac catheterization; cardiac surgery; cardiac motion; cardiac pulsation; cardiac "
    "pulsation artifact; cardiac mri; cardiac ct; cardiac mr; heart failure clinic; heart lung "
    "machine; liver spot; liver function; liver enzyme; liver window; liver function test; hepatic "
    "function; renal function; renal insufficiency; renal failure; kidney function; liver and "
    "kidney function; hepatic phase; hepatic arterial phase; hepatobiliary phase; portal vein "
    "phase; portal venous phase; portal phase; renal phase; hepatic arterial; aortic phase; optic "
    "disc; optic disk; articular disc; articular disk; disc of the temporomandibular joint; "
    "temporomandibular joint disc; compact disc; triangular fibrocartilage disc; disc of the knee; "
    "triangular disc; optic disc edema; ear drum; vocal cord; spermatic cord; umbilical cord; "
    "nerve cord; true vocal cord; false vocal cord; cords and tubes; fibrous cord; thyroid "
    "hormone; thyroid function; skull cap position; bladder catheter; bladder irrigation; brain "
    "death; brain window; bone window; brain mr; brain mri; brain ct; spine ct; spine mri; spine "
    "mr; spine protocol; spine precautions; spine board; prostate specific antigen; prostate "
    "protocol; ventricular shunt; ventriculoperitoneal shunt; ventricular drain; ventricular "
    "catheter; lumbar puncture; sternal wire; sternal cerclage; cerebral perfusion map; kidney "
    "ureter bladder; kidneys ureters bladder; kidney dish; hip to hip; skull vertex scan; "
    "pulmonary function; pulmonary function test; pulmonary angiography; ct pulmonary angiogram; "
    "ct pulmonary angiography; pulmonary angiogram; bowel habit; esophageal ph; intestinal flu; "
    "stomach ache; stomach tube; rib view; rib series; chest wall; costophrenic; hip view; hip "
    "protocol; femoral component; acetabular component; acetabular cup; femoral prosthesis; "
    "femoral stem; hip prosthesis; femoral nail; humeral prosthesis; humeral head prosthesis; "
    "trochanteric entry; trochanteric bursa; iliopsoas bursa; prosthetic heart valve; prosthetic "
    "aortic valve; prosthetic mitral valve; mechanical heart valve; artificial heart; heart valve "
    "prosthesis; scapular plane; scapular y view; facial nerve; sacral nerve stimulator; liver "
    "transplant list; cerebral angiography; hepatic encephalopathy; hepatic flexion; renal colic; "
    "renal diet; renal clearance; renal replacement therapy; renal cell; renal dose"
)

DE = (
    "A. hepatica; Arteria hepatica; A. hepatica communis; A. hepatica propria; V. hepatica; Vena "
    "hepatica; Vv. hepaticae; Ductus hepaticus; Ductus hepaticus communis; A. renalis; Arteria "
    "renalis; V. renalis; Vena renalis; A. lienalis; Arteria lienalis; A. pulmonalis; Arteria "
    "pulmonalis; Aa. pulmonales; Truncus pulmonalis; A. femoralis; Arteria femoralis; A. femoralis "
    "communis; A. femoralis superficialis; V. femoralis; Vena femoralis; N. femoralis; A. "
    "vertebralis; Arteria vertebralis; Aa. vertebrales; A. cerebri media; A. cerebri anterior; A. "
    "cerebri posterior; Arteria cerebri media; Arteria cerebri anterior; Arteria cerebri "
    "posterior; A. carotis interna; Arteria carotis interna; A. carotis externa; Arteria carotis "
    "externa; Carotis interna; Karotis interna; Carotis externa; Karotis externa; A. karotis "
    "interna; Karotisbulbus; Karotisbifurkation; Karotissiphon; Carotisbifurkation; Carotisbulbus; "
    "V. subclavia; Vena subclavia; pulmonale Hypertonie; pulmonalarterielle Hypertonie; pulmonale "
    "Gefäße; pulmonale Arterie; pulmonaler Embolus; pulmonale Embolie; pulmonale Zirkulation; "
    "pulmonales Gefäß; pulmonalarterielle Embolie; Cor pulmonale; kleines Becken; Becken; kleinen "
    "Becken; kleine Becken; großes Becken; Beckenboden; Beckenraum; Spina bifida; sakrale "
    "Nervenwurzel; Plexus sacralis; sakraler Dekubitus; renale Arterie; renale Vene; hepatische "
    "Arterie; hepatische Vene; hepatische Phase; portalvenöse Phase; portalvenöse Kontrastphase; "
    "portale Phase; kardiale Dekompensation; kardiale Pulsation; kardiales MRT; kardiales CT; "
    "kardialer Pulsationsartefakt; kardiale Synchronisation; renale Funktion; renale Insuffizienz; "
    "hepatische Funktion; kardiale Funktion; femoraler Zugang; femorale Arterie; femorale Vene; "
    "femorale Gefäße; femorale Schleuse; zerebrale Arterie; cerebrale Arterie; zerebrale Gefäße; "
    "zerebrale Vene; femorale Hernie; intervertebrales Foramen; hirnversorgende Arterie; gastraler "
    "Bypass; Fossa iliaca; Discus articularis; Discus triangularis; Discus ulnocarpalis; Diskus "
    "articularis; Diskus triangularis; Diskus ulnocarpalis; Discus nervi optici; Atlas Aufnahme; "
    "Magen Darm Passage; Magen Darm; Leber Nieren; Herz Kreislauf; Herz Lungen Maschine; Herz "
    "Thorax Quotient; Schädel Hirn Trauma; kranielle CT; Hüft TEP; Herz CT; Herz MRT; Niere Ureter "
    "Blase; lienale Arterie; Kleinhirnbrückenwinkel; ventrikuloperitonealer Shunt; "
    "Oberlappenbronchus; Unterlappenbronchus; Mittellappenbronchus; Insel der Ruhe; Langerhans "
    "Insel; künstlicher Herz; künstliche Herzklappe; mechanische Herzklappe; mechanische "
    "Aortenklappe; biologische Aortenklappe; V. iliaca Stent; kostaler Pleura; Pleura costalis; "
    "Konus des Strahls; kosto; iliakaler Lymphknoten; pulmonaler Hilus; Hauptachse; "
    "kardiogen; Handgelenksdiskus; "
    "Brustwand; Thoraxwand; kranieller Nerv; kortikaler Knochen; Kreuzband; sakraler Plexus; "
    "kardiovaskulär; Spinalkanal; Spinalkanalstenose; Spinalstenose; Wirbelkanal; "
    "Wirbelkanalstenose; gastroösophagealer Reflux; "
    "Zentralkanal; Rückenmarkskanal; lumbaler Spinalkanal; zervikaler Spinalkanal; thorakaler "
    "Spinalkanal"
)

# The heads of German compounds: the beginnings of a word that name an organ, whatever follows.
# The longest head counts. Each row: the organ in the words of the lexicon, and its heads.
HEADS_DE = {
    "Leber": "leber",
    "Milz": "milz",
    "Niere": "nieren nierenbecken nierenkelch nephro hydronephro pyelo",
    "Nierenzyste": "nierenzyste",
    "Nebenniere": "nebennieren",
    "Gallenblase": "gallenblasen",
    "Magen": "magen gastro",
    "Pankreas": "pankreas bauchspeicheldrüsen pankreaskopf pankreasschwanz",
    "Lunge": "lungen lungenparenchym",
    "Oberlappen": "oberlappen lungenoberlappen",
    "Unterlappen": "unterlappen lungenunterlappen",
    "Mittellappen": "mittellappen",
    "Lingula": "lingula",
    "Ösophagus": "ösophagus speiseröhren",
    "Trachea": "trachea tracheal luftröhren",
    "Schilddrüse": "schilddrüsen thyreo strumen struma",
    "Dünndarm": "dünndarm jejunum jejunal ileum",
    "Duodenum": "duodenal duodenum zwölffingerdarm",
    "Darm": "darm",
    "Kolon": "kolon colon dickdarm sigma rektum rektal zökum zäkum enddarm rektumwand",
    "Harnblase": "harnblasen",
    "Prostata": "prostata",
    "Kreuzbein": "kreuzbein sakrum sacrum",
    "Herz": "herz myokard kardio linksherz rechtsherz herzmuskel vorhof ventrikelseptum "
    "mitralklappen aortenklappen trikuspidalklappen mitral",
    "Aorta": "aorten aorta bauchaorten aortenbogen",
    "Pulmonalvene": "pulmonalvenen lungenvenen",
    "Arteria subclavia": "subclavia subklavia",
    "Karotis": "karotis carotis",
    "Vena cava": "kava hohlvenen",
    "Pfortader": "pfortader portalvenen milzvenen",
    "Beckenarterie": "beckenarterien iliakalarterien",
    "Beckenvene": "beckenvenen iliakalvenen",
    "Humerus": "humerus oberarmkopf humeruskopf",
    "Skapula": "skapula scapula schulterblatt glenoid",
    "Klavikula": "klavikula clavicula clavikula klavicula schlüsselbein",
    "Femur": "femur femurkopf femurhals schenkelhals hüftkopf femurschaft oberschenkelhals "
    "oberschenkelkopf",
    "Hüfte": "hüftbein azetabulum acetabulum beckenkamm schambein sitzbein darmbein beckenschaufel "
    "hüftgelenk hüft",
    "knöchernes Becken": "beckenring beckenskelett",
    "Rückenmark": "rückenmark myelon myelo konus",
    "Musculus gluteus maximus": "glutaeusmaximus gluteusmaximus",
    "Gesäßmuskel": "gluteus glutäus glutealmuskel",
    "Rückenmuskulatur": "rückenmuskel rückenstrecker",
    "Psoas": "psoas iliopsoas",
    "Gehirn": "hirn gehirn kleinhirn großhirn hirnstamm hirnparenchym thalamus marklager "
    "stammganglien basalganglien hippocampus hippokampus pons balken frontallappen "
    "temporallappen parietallappen okzipitallappen enzephalo seitenventrikel zerebellum",
    "Schädel": "schädel kalotten felsenbein mastoid schädelkalotten schädelbasis schädeldach "
    "stirnbein schläfenbein keilbein klivus",
    "Rippe": "rippen",
    "Rippenknorpel": "rippenknorpel",
    "Brustbein": "sternum brustbein manubrium",
    "Bandscheibe": "bandscheiben zwischenwirbelscheiben diskus discus bandscheibenfach",
    "Wirbel": "wirbelkörper wirbelsäulen wirbelbogen wirbel facettengelenk facettengelenks "
    "facetten deckplatten grundplatten dornfortsatz querfortsatz bogenwurzel abschlussplatten "
    "spondylo spondyl endplatten",
    "LWS": "lws lendenwirbelsäulen lendenwirbel lendenwirbelkörper",
    "BWS": "bws brustwirbelsäulen brustwirbel brustwirbelkörper",
    "HWS": "hws halswirbelsäulen halswirbel halswirbelkörper",
    "Axis": "dens",
    "Atlas": "atlasbogen",
}

# Beginnings of words that are no compound of the organ above, whatever follows.
NOT_COMPOUNDS_DE = (
    "leberfleck leberwurst leberwert leberenzym leberfunktion lebervene leberarterie leberpunkt "
    "leberkäse leberhaut leberkapselphlegmone milzarterie milzbrand milzgefäß milzloge "
    "nierenarterie nierenvene nierengefäß nierenlager nierenloge nierenfunktion niereninsuffizienz "
    "nierenwert nierenversagen nierenkolik nierenschale nierenersatz nierenhilusgefäß "
    "nierentransplant nierenfettkapsel nephrostomie nephrolog nephroskop pyelographie pyelostom "
    "nierenfaszie nierenretentionswerte nebennierenvene nebennierenloge gallenblasenarterie "
    "magensonde magendarm magenband magensaft magenschmerz magenschlauch gastroskop gastroenter "
    "gastroduoden gastroösophag gastrografin gastrocnem gastrostomie gastropex gastrolog "
    "magenarterie gastrokne pankreasloge pankreasenzym lungenarterie lungenembolie lungengefäß "
    "lungenfenster lungenfunktion lungenhilus lungenhilum lungenarterien lungenkreislauf "
    "lungenstrombahn lungenautomat lungenvolumenmessung lungenhili lungenhilär lungensequenz "
    "lungenfacharzt oberlappenbronch unterlappenbronch mittellappenbronch oberlappenarterie "
    "unterlappenarterie mittellappenarterie lingulabronch lingulaarterie ösophagussonde "
    "ösophagogast ösophagoskop ösophagusstimme trachealkanül tracheostom tracheotom trachealtubus "
    "tracheobronch schilddrüsenwert schilddrüsenhormon schilddrüsenarterie schilddrüsenfunktion "
    "schilddrüsenknorpel thyreoglobulin thyreostat thyreotox thyreotrop darmgas darmreinigung "
    "darmvorbereitung darmschlingenkontrast darmspiegelung darmrohr kolonkontrast koloskop "
    "colonoskop rektalsonde rektalkontrast rektalrohr rektalfüllung sigmatisch harnblasenkatheter "
    "prostataspezifisch herzfrequenz herzrhythmus herzkatheter herzbeutel herzohr "
    "herzschrittmacher herzschrittmach herzaktion herzkreislauf herzlich herzschlag "
    "herzunterstützung herzlungen herztransplant herzchirurg herzkranz herzgefäß "
    "herzfehleroperation herzmassage herzdruck herzthorax herzvene herzfern herznah kardiophren "
    "kardiolog kardiopulmon kardiovask kardioversion kardiotechnik kardiovers kardiogen "
    "kardiochirurg kardiodiaphragm kardiorespirat kardiomediast vorhofflimmern vorhofflatter "
    "vorhofohr myokardszint mitralgie aortopulmon aortokor aortoren aortenklappenersatz "
    "mitralklappenersatz aortokaval aortobi aortofemor aortenstent aortenprothese aortenkatheter "
    "aortennah mitralklappenprothese aortenklappenprothese trikuspidalklappenersatz karotisgabel "
    "karotisbulbus karotisbifurkation karotissiphon karotisscheide karotisstent carotisgabel "
    "carotisbulbus carotissiphon carotisbifurkation carotisstent kavafilter kavakatheter "
    "pfortaderphase portalvenös humeruskopfprothese femurkopfprothese femurprothese femurnagel "
    "femurkopfersatz schulterblattfern hüftprothese hüfttep hüftendoprothese hüftgelenksprothese "
    "hüftgelenkprothese hüftgelenkersatz hüftgelenksersatz hüftgelenkserguss hüftgelenkerguss "
    "hüftschrauben hüftschmerz beckenringschmerz darmbeingefäß myelograph myelom myeloisch "
    "myelofib myelodys myelose myeloprolif myelolip myelozyt konusförmig konusschnitt konusbiopsie "
    "psoasrand hirnnerv hirnhaut hirnhäut hirnarterie hirngefäß hirndruck hirnwasser hirntod "
    "hirnvene hirnfunktion kleinhirnbrückenwinkel hirnhautentzünd hirnbasisarterie hirnversorg "
    "kleinhirnarterie hirnorgan schädelhirn schädeltrauma schädelprellung schädelweichteil "
    "schädelaufnahme kalottenförmig rippenfell rippenstumpf rippenpaar sternumcerclage "
    "sternotom sternoklav sternumdraht sternumdrähte sternumcerclagen wirbelkanal wirbelloch "
    "wirbelarterie wirbelsäulenfern wirbelsturm spondylodese spondylodesematerial facettenblockade "
    "facetteninfiltration spondylolog balkendiagramm ponsnah hirnszint bandscheibenprothese "
    "discuss diskussion diskut diskusartikul thyreoidea prostatastanze dense densit enzephalogra "
    "lebertransplantiert leberspezifisch"
)

# Endings of compounds that name a device or a vessel and no organ ("Ösophagusstent").
NO_ORGAN_ENDINGS_DE = (
    "stent stents katheter katheters kathetern sonde sonden drainage drainagen prothese prothesen "
    "schrittmacher kanüle kanülen elektrode elektroden shunt shunts clip clips tubus port ports "
    "phase phasen fenster arterie arterien vene venen ader adern gefäß gefäße gefäßen"
)

# Second parts of a hyphenated word that make it a technique and no organ ("Leber-CT").
TECHNIQUES = (
    "ct mr mrt mri pet spect cta mra us sono sonographie sonografie ultraschall protokoll protocol "
    "sequenz sequence untersuchung aufnahme szintigraphie szintigrafie angiographie angiografie "
    "angio fenster window diagnostik spiegelung funktion passage tep ersatz prothese katheter "
    "sonde shaped like type sparing shape röntgen scan schema score index werte thorax kreislauf "
    "lungen schrittmacher screening artig förmig punktion biopsie op gating trigger phase "
    "spezifisch rads stent to specific gated bronchus filter nahe"
)
