"""The texts about a slice: reports, questions and answers in English and German."""
