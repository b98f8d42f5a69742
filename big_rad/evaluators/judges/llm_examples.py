"""Worked examples that show the judge of `llm_score` how to grade.

They were made up for this purpose and come from no patient and no dataset. There are several for
each task, language and grade; each prompt shows one of them.
"""

Example = tuple[str, str, str, str]  # question, candidate, reference, reason of the grade

# task -> language -> level 1..5 -> examples
EXAMPLES: dict[str, dict[str, dict[int, tuple[Example, ...]]]] = {
    "vqa": {
        "en": {
            1: (
                ("Which organ is enlarged?", "None, all are small.", "The spleen", "contradicts"),
                ("Is there free air?", "no", "yes", "the opposite"),
            ),
            2: (
                ("Where is the mass?", "left kidney, upper pole", "right kidney, upper pole",
                 "organ right, side wrong"),
                ("Which plane is this?", "coronal", "axial", "a plane, but the wrong one"),
            ),
            3: (
                ("What is seen in the liver?", "a lesion", "a cyst in segment VI",
                 "true but vague"),
                ("Which vertebra is fractured?", "a lumbar vertebra", "L2",
                 "region right, level missing"),
            ),
            4: (
                ("What does the image show?", "small effusion on the left",
                 "small left pleural effusion", "right, one detail left out"),
                ("Which modality is it?", "CT with contrast", "CT", "right, more than was asked"),
            ),
            5: (
                ("Which organ is missing?", "The gallbladder.", "gallbladder", "the same"),
                ("Is the aorta dilated?", "No", "no, it is of normal width", "the same"),
            ),
        },
        "de": {
            1: (
                ("Liegt ein Erguss vor?", "nein", "ja", "das Gegenteil"),
                ("Welches Organ ist vergrößert?", "keines", "die Milz", "widerspricht"),
            ),
            2: (
                ("Wo liegt der Rundherd?", "linker Oberlappen", "rechter Oberlappen",
                 "Lappen richtig, Seite falsch"),
                ("Welche Ebene ist dargestellt?", "sagittal", "axial", "falsche Ebene"),
            ),
            3: (
                ("Was zeigt die Niere?", "eine Läsion", "eine Zyste am Unterpol",
                 "richtig, aber ungenau"),
                ("Welcher Wirbel ist betroffen?", "ein Lendenwirbel", "LWK 3",
                 "Abschnitt richtig, Höhe fehlt"),
            ),
            4: (
                ("Was ist zu sehen?", "Erguss links", "geringer Pleuraerguss links",
                 "richtig, eine Angabe fehlt"),
                ("Welche Modalität ist es?", "CT mit Kontrastmittel", "CT",
                 "richtig, mehr als gefragt"),
            ),
            5: (
                ("Welches Organ fehlt?", "Die Gallenblase.", "Gallenblase", "dasselbe"),
                ("Ist die Aorta erweitert?", "Nein", "nein, normal weit", "dasselbe"),
            ),
        },
    },
    "report": {
        "en": {
            1: (
                ("", "Normal lungs.", "Large mass in the left lung.", "misses the finding"),
                ("", "Fracture of the right hip.", "No fracture.", "invents a finding"),
            ),
            2: (
                ("", "Cyst in the right kidney.", "Cyst in the left kidney.", "wrong side"),
                ("", "Enlarged spleen with a lesion.", "Liver with a lesion.", "wrong organ"),
            ),
            3: (
                ("", "Lesion in the liver.", "Hypodense lesion in segment IV, likely a cyst.",
                 "finding right, character and place missing"),
                ("", "Degenerative changes.", "Osteophytes at L4 and L5, narrowed canal.",
                 "true but general"),
            ),
            4: (
                ("", "Small pleural effusion on the right.",
                 "Small right pleural effusion, no consolidation.", "one negative finding missing"),
                ("", "Enlarged lymph nodes in the axilla.", "Enlarged left axillary lymph nodes.",
                 "side missing"),
            ),
            5: (
                ("", "Gallbladder without stones.", "No stones in the gallbladder.", "the same"),
                ("", "The heart is enlarged.", "Cardiomegaly.", "the same in other words"),
            ),
        },
        "de": {
            1: (
                ("", "Unauffällige Lunge.", "Große Raumforderung links pulmonal.",
                 "übersieht den Befund"),
                ("", "Fraktur der rechten Hüfte.", "Keine Fraktur.", "erfindet einen Befund"),
            ),
            2: (
                ("", "Zyste der rechten Niere.", "Zyste der linken Niere.", "falsche Seite"),
                ("", "Läsion der Milz.", "Läsion der Leber.", "falsches Organ"),
            ),
            3: (
                ("", "Läsion der Leber.", "Hypodense Läsion in Segment IV, am ehesten Zyste.",
                 "Befund richtig, Art und Ort fehlen"),
                ("", "Degenerative Veränderungen.", "Osteophyten LWK 4 und 5, enger Spinalkanal.",
                 "richtig, aber allgemein"),
            ),
            4: (
                ("", "Geringer Pleuraerguss rechts.",
                 "Geringer Pleuraerguss rechts, kein Infiltrat.", "ein Ausschluss fehlt"),
                ("", "Vergrößerte axilläre Lymphknoten.",
                 "Vergrößerte axilläre Lymphknoten links.", "Seite fehlt"),
            ),
            5: (
                ("", "Gallenblase ohne Konkremente.", "Keine Konkremente der Gallenblase.",
                 "dasselbe"),
                ("", "Das Herz ist vergrößert.", "Kardiomegalie.", "dasselbe in anderen Worten"),
            ),
        },
    },
}  # fmt: skip
