"""The words of reports that name an organ by one of its parts, its adjective or its stem.

These are plain data for `lexicon`, which finds anatomy in texts. `class_table` holds the names of
the classes themselves. A name of a class may label a mask; a word of this page may not, because it
means a part of the organ ("renal pelvis") or a finding at it ("hydronephrosis").

The key of a row is the name of a class ("liver"), the stem of a pair ("kidney"), or several of
these joined by "+". Words are separated by semicolons, written in the singular and without a side.
German adjectives stand in rows of their own, without an ending.
"""

# Nouns and adjectives, English.
EN = {
    "spleen": "splenic; splenic hilum; splenic capsule; splenomegaly; intrasplenic; splenosis",
    "kidney": "renal; renal pelvis; renal cortex; renal medulla; renal sinus; renal hilum; renal "
    "calyx; renal calix; renal pole; renal collecting system; pelvicalyceal system; pyelocaliceal "
    "system; pelvicaliceal system; intrarenal; nephrolithiasis; hydronephrosis; pyelonephritis; "
    "hydroureteronephrosis; ureterohydronephrosis; nephritis; nephropathy; nephrocalcinosis; "
    "pyonephrosis; renal calyces; renal calices",
    "gallbladder": "gallbladder wall; gallbladder fundus; gallbladder neck; cholecystitis; "
    "cholecystolithiasis; gallbladder fossa",
    "liver": "hepatic; hepatic lobe; hepatic segment; hepatic dome; hepatic capsule; caudate lobe; "
    "hepatic hilum; porta hepatis; quadrate lobe; intrahepatic; intrahepatic bile duct; "
    "hepatomegaly; hepatitis; hepatosteatosis; hepatopathy; hepatocellular; hepatocellular "
    "carcinoma; segment ii; segment iii; segment iv; segment iva; segment ivb; segment v; "
    "segment vi; segment vii; segment viii",
    "liver+spleen": "hepatosplenomegaly; hepatosplenic",
    "stomach": "cardia; antrum; antral; gastric; gastric fundus; gastric antrum; gastric body; "
    "gastric cardia; "
    "pylorus; "
    "pyloric; gastritis; gastric outlet; greater curvature; lesser curvature; intragastric",
    "pancreas": "pancreatic; pancreatic head; pancreatic body; pancreatic tail; pancreatic neck; "
    "uncinate process; pancreatic duct; main pancreatic duct; pancreatitis; intrapancreatic",
    "adrenal_gland": "suprarenal; adrenal limb; adrenal body; adrenal cortex; adrenal nodule",
    "lung": "pulmonary; lung base; lung apex; lung field; lung zone; lung parenchyma; "
    "intrapulmonary; pulmonary parenchyma; pulmonary interstitium; lung apices; pulmonary apex; "
    "pulmonary base; pulmonary apices; lung volume; lung periphery; bronchopulmonary",
    "lung_upper_lobe": "upper lobe segment",
    "lung_upper_lobe_left": "lingular; lingular segment; lingular bronchopulmonary segment",
    "lung_middle_lobe_right": "middle lobe segment",
    "esophagus": "esophageal; oesophageal; esophagitis; oesophagitis; esophageal wall; "
    "distal esophagus; proximal esophagus; transesophageal wall",
    "trachea": "carina; tracheal; tracheal bifurcation; tracheal wall; tracheal lumen; "
    "endotracheal lumen; "
    "tracheomalacia; intratracheal",
    "thyroid_gland": "thyroid lobe; thyroid isthmus; thyroid nodule; thyroiditis; goiter; goitre; "
    "intrathyroidal",
    "small_bowel": "jejunal; ileal; terminal ileum; small bowel loop; small intestinal; "
    "proximal jejunum; distal ileum; enteroenteric",
    "esophagus+stomach": "gastroesophageal junction; gastroesophageal; esophagogastric junction; "
    "esophagogastric; gastro-oesophageal junction; oesophagogastric junction; GE junction",
    "duodenum+small_bowel": "duodenojejunal; duodenojejunal flexure; duodenojejunal junction",
    "stomach+small_bowel": "gastrojejunal; gastrojejunostomy; gastroenterostomy; gastroenteric",
    "esophagus+small_bowel": "esophagojejunal; esophagojejunostomy; oesophagojejunal; "
    "oesophagojejunostomy",
    "pancreas+small_bowel": "pancreaticojejunal; pancreaticojejunostomy; pancreatojejunostomy",
    "small_bowel+colon": "ileocolic; ileocolonic; ileocecal; ileocaecal; ileocolostomy; "
    "ileotransversostomy; bowel; bowel loop; bowel wall; intestine; intestinal; intestinal loop; "
    "intestinal wall; large and small bowel; small and large bowel",
    "duodenum": "duodenal; duodenal bulb; duodenal sweep; duodenitis; descending duodenum",
    "colon": "megacolon; colonic; colonic wall; colonic flexure; hepatic flexure; splenic "
    "flexure; right "
    "colonic flexure; left colonic flexure; hepatic flexure of the colon; splenic flexure of the "
    "colon; sigmoidal; cecal; caecal; cecal pole; rectum; rectal; rectosigmoid; rectosigmoid "
    "junction; colitis; ascending and descending colon; rectal wall; rectosigmoid colon",
    "urinary_bladder": "vesical; bladder dome; bladder neck; bladder lumen; cystitis; bladder "
    "base; bladder floor; bladder trigone; intravesical; bladder mucosa",
    "prostate": "peripheral zone; transition zone; prostatic; prostatic bed; prostatitis; "
    "prostatic urethra; peripheral zone of the "
    "prostate; transition zone of the prostate; intraprostatic; prostatomegaly",
    "urinary_bladder+prostate": "vesicoprostatic",
    "sacrum": "sacral; sacral ala; sacral body; sacral promontory; sacral wing; promontory",
    "heart": "cardiac; cardiac chamber; cardiac apex; cardiac valve; heart valve; heart chamber; "
    "heart muscle; left ventricle; right ventricle; left ventricular; right ventricular; left "
    "atrium; right atrium; left atrial; right atrial; atrium; atria; atrial; biatrial; "
    "biventricular; mitral valve; aortic valve; tricuspid valve; pulmonary valve; pulmonic valve; "
    "mitral; tricuspid; mitral annulus; aortic annulus; interventricular septum; interatrial "
    "septum; ventricular septum; atrial septum; papillary muscle; myocardial; endocardium; "
    "endocardial; cardiomegaly; cardiomyopathy; myocarditis; heart size; LV; RV; intracardiac; "
    "left heart; right heart; left ventricular wall; ventricular myocardium; cardiac contour; "
    "both ventricles of the heart; cardiac ventricle; ventricle of the heart; heart contour; left "
    "ventricular apex; left heart chamber; right heart chamber; endocarditis; atrioventricular; "
    "cardiac muscle; foramen ovale of the heart",
    "aorta": "aortic; aortic root; aortic wall; aortic aneurysm; aortic lumen; aortic bifurcation; "
    "aortic isthmus; thoracoabdominal aorta; suprarenal aorta; AAA; aortic dissection; "
    "juxtarenal aorta; aortitis; aortic knob; intraaortic; aortoiliac bifurcation",
    "pulmonary_vein": "pulmonary venous; pulmonary vein ostium",
    "common_carotid_artery": "common carotid arterial; CCA",
    "iliac_artery": "external iliac artery; internal iliac artery; iliac arterial",
    "iliac_vena": "external iliac vein; internal iliac vein; iliac venous",
    "iliac_artery+iliac_vena": "iliac vessel",
    "superior_vena_cava": "superior caval; superior caval vein",
    "inferior_vena_cava": "inferior caval; inferior caval vein; infrahepatic vena cava; "
    "suprahepatic inferior vena cava; retrohepatic inferior vena cava; cava inferior",
    "portal_vein_and_splenic_vein": "main portal vein; portal venous thrombosis; portal venous "
    "thrombus; portal vein branch; left portal vein; right portal vein; splenoportal confluence; "
    "portosplenic confluence; portal confluence; portal venous confluence; portal venous system; "
    "splenoportal axis; extrahepatic portal vein; intrahepatic portal vein",
    "humerus": "humeral; humeral neck; humeral shaft; greater tuberosity; lesser tuberosity; "
    "greater tubercle; lesser tubercle; proximal humerus; distal humerus; surgical neck of the "
    "humerus; humeral diaphysis; proximal humeral; humeral metaphysis; tuberosity of the humerus",
    "scapula": "scapular; glenoid; glenoid fossa; acromion; acromial; coracoid; coracoid process; "
    "spine of the scapula; scapular spine; scapular body; scapular neck; glenoid rim; "
    "inferior angle of the scapula; bony glenoid; scapular wing",
    "clavicula": "clavicular; clavicular head; medial clavicle; lateral clavicle; clavicular "
    "shaft; distal clavicle; distal clavicular; medial end of the clavicle; midshaft clavicle",
    "femur": "os femoris; femoral; femoral neck; femoral shaft; femoral diaphysis; greater "
    "trochanter; lesser "
    "trochanter; trochanter; trochanteric; intertrochanteric; subtrochanteric; pertrochanteric; "
    "femoral condyle; distal femur; femoral metaphysis; intertrochanteric femur; proximal femoral; "
    "distal femoral; medial femoral condyle; lateral femoral condyle; femoral cortex",
    "hip": "acetabulum; acetabula; acetabular; acetabular roof; acetabular rim; iliac wing; iliac "
    "crest; iliac spine; anterior superior iliac spine; anterior inferior iliac spine; posterior "
    "superior iliac spine; ischium; ischial; ischial tuberosity; pubis; pubic bone; pubic ramus; "
    "pubic rami; superior pubic ramus; inferior pubic ramus; ischiopubic ramus; coxal bone; hip "
    "joint; acetabular column; acetabular fossa; coxarthrosis; acetabular labrum; iliac blade; "
    "ischial spine; hip osteoarthritis; quadrilateral plate",
    "spinal_cord": "cord; cord signal; cord compression; myelopathy; myelitis; myelomalacia; "
    "conus; conus tip; cervical cord; thoracic cord; cervical spinal cord; thoracic spinal cord; "
    "hydromyelia; syringomyelia; syrinx",
    "gluteus_maximus": "gluteus maximus tendon; maximus; maximus muscle",
    "gluteus_medius": "gluteus medius tendon",
    "gluteus_minimus": "gluteus minimus tendon; minimus",
    "gluteus_maximus+gluteus_medius+gluteus_minimus": "gluteal; gluteus muscle; glutei; "
    "gluteal muscles",
    "autochthon": "multifidus; multifidus muscle; longissimus; iliocostalis; back muscle; back "
    "musculature; paraspinal musculature; paravertebral musculature; erector muscle; "
    "erector spinae musculature; paraspinous muscle; spinalis muscle",
    "iliopsoas": "iliacus; iliacus muscle; iliopsoas tendon; psoas major; psoas major muscle; "
    "iliopsoas musculature; psoas musculature; psoas compartment",
    "brain": "cerebral; cerebral parenchyma; intracerebral; cerebellum; cerebellar; cerebellar "
    "hemisphere; cerebellar tonsil; cerebral hemisphere; frontal lobe; temporal lobe; parietal "
    "lobe; occipital lobe; insula; insular cortex; thalamus; thalamic; thalami; hippocampi; basal "
    "ganglion; basal ganglia; brainstem; brain stem; pons; pontine; medulla oblongata; midbrain; "
    "mesencephalon; hippocampus; hippocampal; corpus callosum; callosal; white matter; gray "
    "matter; grey matter; gray white matter; grey white matter; caudate nucleus; putamen; globus "
    "pallidus; internal capsule; external capsule; centrum semiovale; corona radiata; lateral "
    "ventricle; third ventricle; fourth ventricle; ventricular system; cerebral ventricle; "
    "vermis; sulcus; sulci; gyrus; gyri; cerebral cortex; encephalopathy; leukoencephalopathy; "
    "encephalitis; encephalomalacia; mesial temporal lobe; amygdala; lentiform nucleus; "
    "hypothalamus; cerebral white matter; deep white matter; periventricular white matter; "
    "subcortical white matter; cerebral peduncle; temporal horn; frontal horn; occipital horn; "
    "periventricular; dentate nucleus; leukoaraiosis; frontal and parietal lobe; fornix; cuneus; "
    "gray white differentiation; grey white differentiation; parahippocampal gyrus; "
    "frontoparietal lobe; encephalon; intraaxial; callosum; splenium; genu of the corpus "
    "callosum; splenium of the corpus callosum; precuneus; operculum; intraparenchymal cerebral",
    "skull": "calvarium; calvarial; cranial vault; skull vault; frontal bone; parietal bone; "
    "temporal bone; occipital bone; sphenoid bone; mastoid; mastoid cell; mastoid air cell; "
    "mastoid process; petrous bone; petrous apex; clivus; skull base; base of the skull; "
    "occipital condyle; zygoma; zygomatic bone; zygomatic arch; cranial bone; squamous temporal "
    "bone; sella turcica; diploe; inner table of the skull; mastoiditis; petrous temporal bone; "
    "cribriform plate",
    "sternum": "sternal; sternal body; manubrium; xiphoid; xiphoid process; sternal manubrium; "
    "corpus sterni; body of the sternum; manubrium sterni; sternal corpus; sternal notch bone",
    "costal_cartilages": "costal cartilage; chondral rib cartilage; cartilaginous rib portion; "
    "calcified costal cartilage",
    "ribs": "costal",
    "intervertebral_discs": "disc space; disk space; disc herniation; disk herniation; disc "
    "height; disk height; disc protrusion; disc bulge; disc extrusion; discitis; diskitis; "
    "discogenic; nucleus pulposus; annulus fibrosus; anulus fibrosus; intervertebral space; disc "
    "degeneration; discopathy; disc material; degenerative disc; disc desiccation; annular tear; "
    "annular fissure; discal; interspace of the discs; intervertebral",
    "vertebrae+intervertebral_discs": "spondylodiscitis; spondylodiskitis",
    "vertebrae": "vertebra; vertebral; vertebral endplate; endplate; end plate; spinous process; "
    "transverse process; pedicle; vertebral lamina; facet joint; facet; zygapophyseal joint; "
    "vertebral arch; posterior element; spondylolisthesis; spondylosis; spondylosis deformans; "
    "spondylophyte; spondylolysis; spondylarthrosis; spondyloarthropathy; spondylitis; "
    "anterolisthesis; retrolisthesis; superior endplate; inferior endplate; neural arch; "
    "articular process; uncovertebral joint; uncovertebral; facet arthropathy; thoracolumbar "
    "spine; cervicothoracic spine; lumbosacral spine; pars interarticularis; transitional "
    "vertebra; sacral spine; dorsal spine; whole spine; entire spine; facet arthrosis; "
    "thoracolumbar; cervical and thoracic spine; costovertebral joint; costotransverse joint; "
    "vertebral column",
    "vertebrae_C1": "atlas arch; arch of the atlas; lateral mass of the atlas; anterior arch of "
    "C1; posterior arch of C1; atlantal",
    "vertebrae_C2": "dens; dens axis; odontoid; odontoid process; odontoid peg; dens of the axis; "
    "body of the axis",
    "vertebrae_C1+vertebrae_C2": "atlantoaxial; atlantoaxial joint; atlanto axial; atlanto axial "
    "joint",
    "kidney_cyst": "renal parenchymal cyst; cortical cyst of the kidney; simple renal cyst; "
    "simple cortical renal cyst; exophytic renal cyst; parapelvic renal cyst; cyst of the kidney; "
    "cortical renal cyst; hemorrhagic renal cyst",
    "atrial_appendage_left": "atrial appendage",
    "subclavian_artery": "subclavian arterial",
}

# Nouns, German.
DE = {
    "spleen": "Splenomegalie; Splen; Milzhilus; Milzkapsel; Milzpol",
    "kidney": "Nierenbecken; Nierenkelch; Nierenrinde; Nierenmark; Nierenhilus; Nierensinus; "
    "Nierenpol; Nierenbeckenkelchsystem; NBKS; Hydronephrose; Nephrolithiasis; Pyelonephritis; "
    "Pyelon; Schrumpfniere; Hufeisenniere; Zystenniere; Stauungsniere; Nephropathie; "
    "Nephrokalzinose; Nephritis; Urolithiasis der Niere; Wanderniere; Restniere; Beckenniere; "
    "Harnstauungsniere; Hydroureteronephrose; Ureterohydronephrose; "
    "Kelchsystem; Nierenbeckenkelchsystem; Hohlsystem der Niere; Pyonephrose; Nierenhohlsystem; "
    "Nierenhohlraumsystem; Doppelniere; Sackniere; Einzelniere; Solitärniere",
    "gallbladder": "Cholezystitis; Cholecystitis; Cholezystolithiasis; Cholecystolithiasis; "
    "Porzellangallenblase; Gallenblasenwand; Schrumpfgallenblase; Gallenblasenlager; "
    "Gallenblasenloge",
    "liver": "Hepatomegalie; Leberlappen; Fettleber; Stauungsleber; Zirrhoseleber; Restleber; "
    "Lebersegment; Leberpforte; Lobus caudatus; Leberhilus; Hepatopathie; Hepatitis; "
    "Steatosis hepatis; Leberkuppel; Porta hepatis; Caudatus der Leber; Lobus quadratus; "
    "Fettlebererkrankung; Lobus caudatus der Leber; Leberrand; Metastasenleber; Zystenleber; "
    "Segment II; Segment III; Segment IV; Segment IVa; Segment IVb; Segment V; Segment VI; Segment "
    "VII; Segment VIII",
    "liver+spleen": "Hepatosplenomegalie",
    "stomach": "Kardia; Cardia; Antrum; Magenfundus; Magenantrum; Magenkorpus; Pylorus; Gastritis; "
    "Restmagen; "
    "Schlauchmagen; Magenausgang; Magenpforte; Antrum pylori; große Kurvatur; kleine Kurvatur; "
    "Magenkardia; Fundus des Magens; Fundus ventriculi",
    "pancreas": "Pankreaskopf; Pankreaskorpus; Pankreasschwanz; Pankreasgang; Pankreatitis; "
    "Processus uncinatus; Ductus pancreaticus; Ductus Wirsungianus; Restpankreas; D. pancreaticus; "
    "Pankreaslipomatose; Caput pancreatis; Cauda pancreatis; Corpus pancreatis",
    "adrenal_gland": "Nebennierenrinde; Nebennierenschenkel; Nebennierenmark; NN",
    "lung": "Lungenspitze; Lungenbasis; Lungenfeld; Lungenparenchym; Lungenflügel; Lungenkern; "
    "Lungenperipherie; Lungenunterfeld; Lungenoberfeld; Lungenmittelfeld; Unterfeld; Oberfeld; "
    "Mittelfeld; Lungenmantel; Lungengerüst; Lungeninterstitium; Restlunge; Wabenlunge; "
    "Stauungslunge; Schocklunge; Emphysemlunge; Lungenabschnitt",
    "lung_upper_lobe_left": "Lingulasegment; LUL; Lingulaanteil",
    "lung_lower_lobe_left": "LLL",
    "lung_upper_lobe_right": "RUL",
    "lung_lower_lobe_right": "RLL",
    "lung_upper_lobe": "Lobus superior; Lobus superior der Lunge",
    "lung_lower_lobe": "Lobus inferior; Lobus inferior der Lunge",
    "lung_middle_lobe_right": "RML; Mittellappensegment; Lobus medius; Lobus medius der Lunge",
    "esophagus": "Oesophagus; Ösophagitis; Ösophaguswand; Megaösophagus",
    "trachea": "Karina; Carina; Trachealbifurkation; Tracheallumen; Tracheomalazie; Bifurkation "
    "der Trachea; "
    "Trachealwand; Bifurcatio tracheae",
    "thyroid_gland": "Schilddrüsenlappen; Schilddrüsenisthmus; Struma; Struma nodosa; "
    "Thyreoiditis; Thyroidea; Thyreoidea; Knotenstruma; Schilddrüsenloge; Struma multinodosa; "
    "Glandula thyroidea",
    "small_bowel": "terminales Ileum; Dünndarmschlinge; Dünndarmwand; Jejunalschlinge; "
    "Ileumschlinge; Jejunumschlinge; Ilealschlinge; Neoterminales Ileum",
    "stomach+small_bowel": "Gastrojejunostomie; Gastroenterostomie",
    "esophagus+stomach": "gastroösophagealer Übergang; ösophagogastraler Übergang",
    "duodenum+small_bowel": "Flexura duodenojejunalis; duodenojejunale Flexur",
    "esophagus+small_bowel": "Ösophagojejunostomie",
    "pancreas+small_bowel": "Pankreatikojejunostomie; Pankreatojejunostomie",
    "small_bowel+colon": "Ileotransversostomie; Ileokolostomie; Ileoaszendostomie; "
    "Ileorektostomie; Ileosigmoidostomie; Darm; Darmschlinge; Darmwand; Darmkonvolut; Dünn und "
    "Dickdarm; "
    "Dünndarm und Dickdarm; Darmtrakt; Intestinum; Dickdarm und Dünndarm",
    "duodenum": "Bulbus duodeni; Duodenalwand; Pars descendens duodeni; Duodenitis; "
    "Duodenaldivertikel; Duodenalstenose",
    "colon": "Megakolon; Megacolon; Kolonflexur; rechte Kolonflexur; linke Kolonflexur; rechte "
    "Flexur; linke Flexur; "
    "Caecum; Coecum; Zökum; Cökum; Querkolon; Quercolon; Rektum; Rectum; Rektosigmoid; Enddarm; "
    "Kolitis; Colitis; Kolonwand; "
    "Zökalpol; Zäkalpol; Sigmoid; Kolon ascendens; Kolon descendens; Kolon transversum; Flexura "
    "coli dextra; Flexura coli sinistra; Flexura lienalis; Flexura hepatica; Flexura coli; "
    "Mastdarm; Blinddarmpol; Sigmaschlinge; Hemikolon; Kolon "
    "sigmoideum; Rektosigmoidaler Übergang; rektosigmoidaler Übergang; Colon transversum; "
    "Haustrierung des Kolons",
    "urinary_bladder": "Blasenwand; Blasendach; Blasenhals; Blasenboden; Blasenlumen; Zystitis; "
    "Blasenhinterwand; Blasendivertikel; Blasenstein; Blasentumor; Blasenkarzinom; "
    "Blasenvorderwand; Blasenseitenwand; Blasenschleimhaut; Blasenausgang; Blasenfüllung; "
    "Blasentrigonum; Blasenkonkrement; Balkenblase; Blasenkontur",
    "prostate": "periphere Zone; Transitionszone; Transitionalzone; Prostatitis; Prostataloge; "
    "Prostatahyperplasie; periphere Zone der Prostata; "
    "Transitionalzone der Prostata; Prostatalappen; Prostatamittellappen",
    "sacrum": "Promontorium; Sakralwirbel; Kreuzbeinflügel; Massa lateralis; Massa lateralis des "
    "Sakrums; Os sakrum; Ala ossis sacri; Sacrum",
    "heart": "linker Ventrikel; rechter Ventrikel; linker Vorhof; rechter Vorhof; Vorhof; "
    "Herzkammer; linke Herzkammer; rechte Herzkammer; Herzhöhle; Herzklappe; Mitralklappe; "
    "Aortenklappe; Trikuspidalklappe; Pulmonalklappe; Herzspitze; Herzgröße; Herzsilhouette; "
    "Kardiomegalie; Kardiomyopathie; Myokarditis; Endokard; Ventrikelseptum; Vorhofseptum; "
    "interventrikuläres Septum; Linksherz; Rechtsherz; linkes Herz; rechtes Herz; Endokarditis; "
    "Herzkontur; Papillarmuskel; Septum interventriculare; Vorhöfe; Mitralring; Herzhöhlen; "
    "Aortenklappenring; Trikuspidalring; LV; RV; Linksventrikel; Herzachse; Ventrikel des Herzens",
    "aorta": "Aortenwurzel; Aortenbogen; Aortenwand; Aortenaneurysma; Bauchaortenaneurysma; BAA; "
    "Aortenbifurkation; Aortenisthmus; Aorta thoracalis; Aortenlumen; Aortensklerose; "
    "Aortendissektion; Aortitis; thorakoabdominelle Aorta; deszendierende Aorta; aszendierende "
    "Aorta; Aorteninsuffizienz der Aorta; Aortenbulbus; Aortenknopf; Bulbus aortae; Arcus aortae; "
    "juxtarenale Aorta; suprarenale Aorta; abdominelle Aorta; Aorta asc; Aorta desc; "
    "Aorta abd; Infrarenalaorta; TAA",
    "pulmonary_vein": "Pulmonalvenenostium; Pulmonalvenenmündung; V. pulmonalis; "
    "Vv. pulmonales; Venae pulmonales",
    "brachiocephalic_trunk": "Truncus brachiocephalicus; Tr. brachiocephalicus; Truncus "
    "brachiozephalicus",
    "common_carotid_artery": "Aa. carotides communes; Aa. carotides; A. carotis com; Carotis "
    "communis; Karotis communis; A. karotis communis; Arteria karotis communis; Carotis",
    "brachiocephalic_vein": "Vv. brachiocephalicae; Venae brachiocephalicae; Vena anonyma; V. "
    "anonyma; Vena brachiozephalica; V. brachiozephalica",
    "iliac_artery": "Aa. iliacae communes; Aa. iliacae; Aa. iliacae externae; Aa. iliacae "
    "internae; A. iliaca externa; A. iliaca interna; Arteria iliaca externa; Arteria iliaca "
    "interna; AIE; AII; Iliaca communis; Iliaca externa; Beckenschlagader; Beckenstrombahn",
    "iliac_vena": "Vv. iliacae communes; Vv. iliacae; Vv. iliacae externae; Vv. iliacae internae; "
    "V. iliaca externa; V. iliaca interna; Vena iliaca externa; Vena iliaca interna",
    "iliac_artery+iliac_vena": "Iliakalgefäß; Beckengefäß; Iliacalgefäß",
    "superior_vena_cava": "Cava superior; obere Hohlvene; V. cava sup; Vena cava sup",
    "inferior_vena_cava": "Cava inferior; untere Hohlvene; V. cava inf; Vena cava inf",
    "portal_vein_and_splenic_vein": "Pfortaderast; Pfortaderhauptstamm; Pfortaderstamm; "
    "Confluens venosum; Pfortaderthrombose; Pfortaderkonfluens; Portalvene; Vena porta; V. porta; "
    "Milzvenenthrombose; portalvenöse Thrombose; portalvenöser Thrombus; Pfortadersystem; "
    "Vena splenica; V. splenica; Konfluens der Pfortader",
    "humerus": "Humeruskopf; Humerusschaft; Humerushals; Oberarmkopf; Tuberculum majus; Tuberculum "
    "minus; proximaler Humerus; distaler Humerus; Oberarmschaft; subkapitale Humerusfraktur; "
    "Caput humeri; Collum chirurgicum; Tuberkulum majus; Humeruskalotte; Tuberculum majus humeri",
    "scapula": "Glenoid; Akromion; Acromion; Korakoid; Coracoid; Processus coracoideus; "
    "Skapulahals; Skapulablatt; Spina scapulae; Schulterpfanne; Cavitas glenoidalis; Scapula; "
    "Scapulahals; Gelenkpfanne der Schulter; Proc. coracoideus; Margo lateralis scapulae",
    "clavicula": "Clavikula; Klavicula; Klavikulaschaft; laterale Klavikula; mediale Klavikula; "
    "Schlüsselbeinschaft; "
    "Claviculaschaft; laterale Clavicula; mediale Clavicula; sternales Klavikulaende",
    "femur": "Os femoris; Femurhals; Femurschaft; Schenkelhals; Trochanter major; Trochanter "
    "minor; "
    "Femurkondyle; Femurkondylus; Oberschenkelhals; Oberschenkelschaft; Hüftkopf; distaler Femur; "
    "Trochanter; Caput femoris; Collum femoris; Femurdiaphyse; Trochanterregion; Trochantermassiv; "
    "Oberschenkelkopf; Femurmetaphyse; Kalkar femoris",
    "hip": "Azetabulum; Acetabulum; Azetabula; Acetabula; Hüftpfanne; Hüftgelenkspfanne; "
    "Pfannendach; Azetabulumdach; Acetabulumdach; Beckenkamm; Darmbeinkamm; Sitzbein; Schambein; "
    "Schambeinast; Sitzbeinast; Sitzbeinhöcker; oberer Schambeinast; unterer Schambeinast; Os "
    "pubis; Os ischii; Os ilii; Tuber ischiadicum; Hüftgelenk; Koxarthrose; Coxarthrose; Crista "
    "iliaca; Spina iliaca; Spina iliaca anterior superior; Spina iliaca anterior inferior; Ala "
    "ossis ilii; Hüftgelenkpfanne; Beckenhälfte; Azetabulumpfanne; Hüftarthrose; Ramus superior "
    "ossis pubis; Ramus inferior ossis pubis; hinterer Pfeiler; vorderer Pfeiler; Iliumschaufel; "
    "Os Ilium; Acetabulumpfanne; Iliakalschaufel; Beckenschaufel; Sitzbeinknochen; "
    "Hüftbeinschaufel; Ischium; Pubis",
    "spinal_cord": "Myelopathie; Myelitis; Myelomalazie; Halsmark; Brustmark; Lendenmark; "
    "Zervikalmark; Thorakalmark; Konus; Konus medullaris; Conus; Konusspitze; "
    "Syringomyelie; Hydromyelie; Zervikalkanal; Lumbalkanal; Myelonkompression; "
    "Myelopathiesignal; Spinalkanaleinengung; Halsmyelon; Brustmyelon; thorakales Myelon; "
    "zervikales Myelon",
    "gluteus_maximus": "Maximus; Mm. glutei maximi; Glutei maximi; Glutaeus maximus; M. glut. "
    "maximus; "
    "Glutealis maximus",
    "gluteus_medius": "Mm. glutei medii; Glutei medii; Glutaeus medius; M. glut. medius",
    "gluteus_minimus": "Minimus; Mm. glutei minimi; Glutei minimi; Glutaeus minimus; M. glut. "
    "minimus",
    "gluteus_maximus+gluteus_medius+gluteus_minimus": "Glutäalmuskulatur; Glutealmuskel; "
    "Mm. glutei; Musculi glutei; Glutäusmuskulatur; Glutaealmuskulatur; gluteale Muskulatur; "
    "glutäale Muskulatur; Gluteusmuskulatur; Mm. glutaei; Gesäßmuskulatur; Glutäalmuskel",
    "autochthon": "M. multifidus; Multifidus; Musculus multifidus; Rückenstreckmuskulatur; "
    "Rückenmuskel; paraspinale Muskulatur; Paravertebralmuskulatur; Erector spinae; Musculus "
    "longissimus; M. longissimus; paravertebraler Muskel; autochthoner Rückenmuskel; "
    "Rückenstreckermuskulatur; Mm. multifidi; Mm. erectores spinae; autochthone Rückenmuskel",
    "iliopsoas": "M. iliacus; Iliakus; Musculus iliacus; M. psoas major; Psoasmuskulatur; Iliacus; "
    "Musculus psoas major; Psoas major; Iliopsoasmuskel; Iliopsoassehne; Psoasloge; "
    "Iliopsoasmuskulatur; Mm. psoas; Mm. iliopsoas",
    "brain": "Großhirn; Kleinhirn; Cerebellum; Zerebellum; Hirnstamm; Hirnparenchym; Thalamus; "
    "Thalami; Hippocampi; Stammganglion; Basalganglion; Pons; Medulla oblongata; Mittelhirn; "
    "Zwischenhirn; Hippocampus; Hippokampus; Corpus callosum; Balken; Marklager; Hirnrinde; "
    "Großhirnhemisphäre; Hemisphäre; Kleinhirnhemisphäre; Frontallappen; Temporallappen; "
    "Parietallappen; Okzipitallappen; Stirnlappen; Schläfenlappen; Scheitellappen; "
    "Hinterhauptslappen; Hinterhauptlappen; Insel; Inselrinde; Inselregion; Capsula interna; "
    "innere Kapsel; Putamen; Nucleus caudatus; Caudatus; Seitenventrikel; dritter Ventrikel; "
    "vierter Ventrikel; III. Ventrikel; IV. Ventrikel; 3. Ventrikel; 4. Ventrikel; "
    "Ventrikelsystem; Vermis; Kleinhirntonsille; Sulkus; Sulci; Gyrus; Gyri; Enzephalopathie; "
    "Leukenzephalopathie; Enzephalitis; weiße Substanz; graue Substanz; Mesencephalon; Amygdala; "
    "Centrum semiovale; Hypothalamus; Zerebrum; Enzephalon; Nucleus lentiformis; "
    "Großhirnmarklager; Occipitallappen; Substantia nigra; Mark Rinden Differenzierung; Mark "
    "Rinden Grenze; Mesenzephalon; Hirnwindung; Hirnfurche; Leukoenzephalopathie; Sulcus; Gyrus "
    "hippocampi; Hirnmark; Marklagerläsion; Temporalhorn; Vorderhorn des Seitenventrikels; "
    "Hinterhorn des Seitenventrikels; Ventrikelvorderhorn; Ventrikelhinterhorn; "
    "Mesiotemporallappen; Kleinhirnwurm; Globus pallidus; Hirnsubstanz; Sulcierung; Sulkierung",
    "skull": "Schädelkalotte; Schädeldach; Stirnbein; Scheitelbein; Schläfenbein; "
    "Hinterhauptbein; Hinterhauptsbein; Felsenbein; Mastoid; Mastoidzelle; Keilbein; Os frontale; "
    "Os parietale; Os temporale; Os occipitale; Os sphenoidale; Clivus; Klivus; Schädelbasis; "
    "Jochbein; Jochbogen; Schädelkalottenfraktur; Cranium; Hinterhauptschuppe; "
    "Felsenbeinpyramide; Warzenfortsatz; Mastoiditis; Pyramidenspitze; Kalottenfraktur; Os "
    "petrosum; Os zygomaticum; Sella turcica; Diploe; Neurocranium; Neurokranium; Hirnschädel; Os "
    "okzipitale; Kranium",
    "sternum": "Manubrium; Manubrium sterni; Corpus sterni; Processus xiphoideus; Xiphoid; "
    "Sternumkorpus; Schwertfortsatz; Proc. xiphoideus; Sternumcorpus",
    "costal_cartilages": "Kostalknorpel; Rippenknorpelverkalkung; Rippenknorpelansatz",
    "ribs": "Rippenbogen; Costa; Rippenskelett; Rippenthorax; knöcherner Thorax; Thoraxskelett; "
    "knöchernes Thoraxskelett",
    "intervertebral_discs": "Bandscheibenraum; Bandscheibenhöhe; Bandscheibenvorfall; "
    "Bandscheibenprotrusion; Diszitis; Discitis; Diskusprolaps; Diskusprotrusion; Diskushernie; "
    "NPP; BSV; Zwischenwirbelfach; Diskopathie; Discopathie; Nucleus pulposus; Anulus fibrosus; "
    "Discus; Bandscheibengewebe; Discusprolaps; Discusprotrusion; Diskusextrusion; "
    "Intervertebralraum; Zwischenwirbelraum; Zwischenwirbelräume; Diskusraum; Intervertebralfach; "
    "Annulus fibrosus; Anulusriss",
    "vertebrae+intervertebral_discs": "Spondylodiszitis; Spondylodiscitis",
    "vertebrae": "Deckplatte; Grundplatte; Abschlussplatte; Bodenplatte; Dornfortsatz; "
    "Querfortsatz; Wirbelbogen; Bogenwurzel; Pedikel; Facettengelenk; Facette; Spondylose; "
    "Spondylosis deformans; Spondylarthrose; Spondylophyt; Spondylolisthesis; Spondylolisthese; "
    "Spondylolyse; Anterolisthesis; Retrolisthesis; Wirbelgleiten; Processus spinosus; Processus "
    "transversus; Wirbelgelenk; Facettengelenksarthrose; Facettenarthrose; Uncovertebralgelenk; "
    "Antelisthesis; Unkovertebralgelenk; Unkovertebralarthrose; Uncovertebralarthrose; "
    "Wirbelhinterkante; Wirbelvorderkante; Hinterkante des Wirbelkörpers; Hinterkante; "
    "Vorderkante; Achsenskelett; Stammskelett der Wirbelsäule; BWS und LWS; HWS und BWS; "
    "Listhese; Listhesis; Ventrolisthese; Anterolisthese; Retrolisthese; Ventrolisthesis; "
    "Spondyloarthrose; Spondylitis; Übergangswirbel; lumbosakraler Übergangswirbel; "
    "Wirbelkörperhinterkante; Wirbelkörperhöhe; Wirbelkörpervorderkante; thorakolumbaler "
    "Übergang; zervikothorakaler Übergang; Pars interarticularis; Interartikularportion; "
    "Blockwirbel; Keilwirbel; Zwischenwirbelgelenk; Lendenwirbelsäule; Osteochondrosis "
    "intervertebralis; Wirbelsäulenabschnitt; LWS; BWS; HWS; Kostovertebralgelenk; "
    "Costovertebralgelenk; Brustwirbelsäule; Halswirbelsäule; Sakralwirbelsäule; WK; WS; WBS; "
    "Gesamtwirbelsäule; Ganzwirbelsäule; Wirbelsäulensegment",
    "vertebrae_C1": "Atlasbogen; Atlaswirbel; Massa lateralis atlantis",
    "vertebrae_C2": "Dens; Dens axis; Densspitze; Densfraktur; Axiswirbel",
    "vertebrae_C1+vertebrae_C2": "Atlantoaxialgelenk; atlantoaxiales Gelenk; atlantoaxiale Gelenk",
    "kidney_cyst": "Nierenrindenzyste; Nierenparenchymzyste; kortikale Nierenzyste; Rindenzyste "
    "der Niere; Parenchymzyste der Niere; einfache Nierenzyste; blande Nierenzyste",
    "atrial_appendage_left": "Herzohr; Vorhofohr; LAA",
    "subclavian_artery": "Aa. subclaviae; Arteria subklavia; A. subklavia; Subklavia",
    "hips": "Beckenring; Beckenskelett; Beckenfraktur; Beckenringfraktur; knöcherner Beckenring; "
    "knöchernes Becken; Beckenknochen; Beckengürtel",
}

# Adjectives, German, without an ending.
ADJECTIVES_DE = {
    "spleen": "lienal; splenisch; intralienal",
    "kidney": "renal; intrarenal; pyelonephritisch; hydronephrotisch; renoparenchymatös",
    "liver": "hepatisch; intrahepatisch; hepatozellulär; hepatal",
    "stomach": "gastral; gastrisch; intragastral; pylorisch",
    "pancreas": "pankreatisch; intrapankreatisch; pankreatitisch; pankreatogen",
    "adrenal_gland": "adrenal; suprarenal",
    "lung": "pulmonal; intrapulmonal; pulmonar; bipulmonal",
    "lung_upper_lobe_left": "lingulär",
    "esophagus": "ösophageal; intraösophageal",
    "esophagus+stomach": "gastroösophageal; ösophagogastral; oesophagogastral",
    "duodenum+small_bowel": "duodenojejunal",
    "trachea": "tracheal; endotracheal; intratracheal",
    "thyroid_gland": "thyreoidal; thyroidal; intrathyreoidal; strumös",
    "small_bowel": "jejunal; ileal",
    "small_bowel+colon": "intestinal",
    "duodenum": "duodenal",
    "colon": "kolonisch; zökal; zäkal; sigmoidal; rektal; kolisch; rektosigmoidal",
    "urinary_bladder": "intravesikal; vesikal",
    "prostate": "prostatisch; intraprostatisch",
    "sacrum": "sakral; sacral",
    "heart": "kardial; intrakardial; myokardial; linksventrikulär; rechtsventrikulär; linksatrial; "
    "rechtsatrial; biventrikulär; biatrial; endokardial; atrial; linkskardial; rechtskardial; "
    "linksventrikular; kardiomyopathisch; transmural myokardial; valvulär",
    "aorta": "aortal; aortenisthmisch; intraaortal",
    "humerus": "humeral",
    "scapula": "skapulär; scapulär; glenoidal; skapular; akromial",
    "clavicula": "klavikulär; clavikulär; klavikular",
    "femur": "femoral; trochantär; pertrochantär; intertrochantär; subtrochantär",
    "hip": "azetabulär; acetabulär; azetabular; ischial; ischiatisch",
    "spinal_cord": "myelopathisch; intraspinal; myelär",
    "brain": "zerebral; cerebral; intrazerebral; intracerebral; zerebellär; cerebellär; "
    "thalamisch; pontin; hippokampal; kallosal; periventrikulär; kortikosubkortikal; "
    "leukenzephalopathisch; enzephalitisch; intraaxial; kleinhirnig",
    "sternum": "sternal",
    "ribs": "kostal; costal",
    "intervertebral_discs": "diskal; diskogen; discal; discogen; intervertebral",
    "vertebrae": "vertebral; spondylarthrotisch; spondylotisch; unkovertebral; uncovertebral; "
    "spondylophytär",
    "vertebrae_C1+vertebrae_C2": "atlantoaxial",
    "skull": "kalottär; mastoidal; kranial knöchern",
    "gluteus_maximus+gluteus_medius+gluteus_minimus": "gluteal; glutäal",
}

# Operations that remove an organ; the word says that the organ is absent. German words share the
# endings of the English ones; "kt" and "z" are written as "ct" and "c" too.
REMOVED_EN = {
    "spleen": "splenectomy; autosplenectomy",
    "kidney": "nephrectomy; nephroureterectomy; heminephrectomy",
    "gallbladder": "cholecystectomy",
    "liver": "hepatectomy; hemihepatectomy; segmentectomy of the liver",
    "stomach": "gastrectomy; sleeve gastrectomy",
    "pancreas": "pancreatectomy",
    "pancreas+duodenum": "pancreaticoduodenectomy; pancreatoduodenectomy; duodenopancreatectomy",
    "adrenal_gland": "adrenalectomy",
    "lung": "pneumonectomy; pneumectomy",
    "lung_upper_lobe": "upper lobectomy; upper lobe lobectomy; upper lobe resection",
    "lung_lower_lobe": "lower lobectomy; lower lobe lobectomy; lower lobe resection",
    "lung_middle_lobe_right": "middle lobectomy; middle lobe lobectomy; middle lobe resection",
    "esophagus": "esophagectomy; oesophagectomy",
    "thyroid_gland": "thyroidectomy; hemithyroidectomy",
    "small_bowel": "jejunectomy; ileectomy; enterectomy",
    "duodenum": "duodenectomy",
    "colon": "colectomy; hemicolectomy; sigmoidectomy; sigmoid colectomy; cecectomy; caecectomy; "
    "proctocolectomy; proctectomy; total colectomy; rectosigmoidectomy; ileocecectomy",
    "urinary_bladder": "cystectomy",
    "urinary_bladder+prostate": "cystoprostatectomy",
    "prostate": "prostatectomy; prostatovesiculectomy",
    "vertebrae": "corpectomy; vertebrectomy; laminectomy; hemilaminectomy; facetectomy; "
    "spondylectomy",
    "intervertebral_discs": "discectomy; diskectomy; microdiscectomy",
    "skull": "craniectomy; hemicraniectomy; mastoidectomy",
    "ribs": "costectomy",
    "sternum": "sternectomy",
    "sacrum": "sacrectomy",
    "hip": "hemipelvectomy",
    "scapula": "scapulectomy",
    "brain": "hemispherectomy; lobectomy of the brain; temporal lobectomy; frontal lobectomy",
    "clavicula": "claviculectomy",
}
REMOVED_DE = {
    "spleen": "Splenektomie; Milzexstirpation; Milzentfernung",
    "kidney": "Nephrektomie; Nephroureterektomie; Heminephrektomie; Nierenentfernung; "
    "Nierenagenesie; Nierenaplasie; Tumornephrektomie",
    "gallbladder": "Cholezystektomie; Cholecystektomie; CHE; CCE; Gallenblasenentfernung; "
    "Gallenblasenagenesie",
    "liver": "Hepatektomie; Hemihepatektomie",
    "stomach": "Gastrektomie; Hemigastrektomie; Magenentfernung",
    "pancreas": "Pankreatektomie; Linkspankreatektomie; Pankreaslinksresektion",
    "pancreas+duodenum": "Pankreatikoduodenektomie; Duodenopankreatektomie; Pankreatoduodenektomie",
    "adrenal_gland": "Adrenalektomie",
    "lung": "Pneumonektomie; Pneumektomie; Lungenentfernung; Lungenagenesie",
    "lung_upper_lobe": "Lobektomie oben; Oberlappenlobektomie; Oberlappenresektion; obere "
    "Lobektomie; Lobektomie "
    "Oberlappen; Lobektomie OL; Oberlobektomie; Oberlappenektomie",
    "lung_lower_lobe": "Lobektomie unten; Unterlappenlobektomie; Unterlappenresektion; untere "
    "Lobektomie; Lobektomie "
    "Unterlappen; Lobektomie UL; Unterlobektomie; Unterlappenektomie",
    "lung_middle_lobe_right": "Mittellappenlobektomie; Mittellappenresektion; Lobektomie "
    "Mittellappen; Mittellobektomie",
    "esophagus": "Ösophagektomie; Oesophagektomie",
    "thyroid_gland": "Thyreoidektomie; Thyroidektomie; Hemithyreoidektomie; Strumektomie; "
    "Schilddrüsenentfernung; Hemithyroidektomie",
    "small_bowel": "Jejunektomie; Ilektomie",
    "duodenum": "Duodenektomie",
    "colon": "Kolektomie; Hemikolektomie; Rechtshemikolektomie; Linkshemikolektomie; "
    "Colektomie; Sigmaektomie; Sigmoidektomie; "
    "Proktokolektomie; Rektumexstirpation; Proktektomie; Zökektomie; Hemicolektomie; "
    "Rektosigmoidektomie",
    "urinary_bladder": "Zystektomie; Cystektomie; Harnblasenentfernung",
    "urinary_bladder+prostate": "Zystoprostatektomie; Cystoprostatektomie",
    "prostate": "Prostatektomie; Prostatavesikulektomie; Prostatovesikulektomie; RPE; RPX; "
    "Prostataentfernung",
    "vertebrae": "Korporektomie; Vertebrektomie; Laminektomie; Hemilaminektomie; Spondylektomie; "
    "Korpektomie; Wirbelkörperentfernung",
    "intervertebral_discs": "Diskektomie; Discektomie; Bandscheibenentfernung; Mikrodiskektomie; "
    "Nukleotomie",
    "skull": "Kraniektomie; Hemikraniektomie; Craniektomie; Mastoidektomie; Hemicraniektomie",
    "ribs": "Kostektomie; Costektomie",
    "sternum": "Sternektomie",
    "hip": "Hemipelvektomie",
    "scapula": "Skapulektomie",
    "sacrum": "Sakrektomie",
}
