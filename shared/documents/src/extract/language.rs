//! The language a text is written in, by the frequency of its letters.

use whatlang::detect;

/// Less than this says too little.
const LEAST_CHARS: usize = 40;

/// The code of the language in ISO 639-3, where it is certain.
pub(super) fn of(sample: &str) -> Option<String> {
    sample.chars().nth(LEAST_CHARS)?;
    detect(sample)
        .filter(whatlang::Info::is_reliable)
        .map(|found| found.lang().code().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_apart() {
        let texts = [
            (
                "The gearbox oil is changed every five hundred hours, or once a year, whichever \
                 comes first. Keep a record of each change.",
                "eng",
            ),
            (
                "Das Getriebeöl wird alle fünfhundert Stunden gewechselt, mindestens aber einmal \
                 im Jahr. Jeder Wechsel wird aufgeschrieben.",
                "deu",
            ),
            (
                "L'huile de la boîte de vitesses est changée toutes les cinq cents heures, ou une \
                 fois par an. Chaque vidange est notée dans le registre.",
                "fra",
            ),
            (
                "Масло в редукторе меняют каждые пятьсот часов или один раз в год. Каждую замену \
                 записывают в журнал.",
                "rus",
            ),
        ];
        for (text, code) in texts {
            assert_eq!(of(text).as_deref(), Some(code), "{text}");
        }
    }

    #[test]
    fn too_little_text_is_of_no_language() {
        assert_eq!(of("Oil 500 h"), None);
        assert_eq!(of(&"4711 0815 ".repeat(50)), None);
    }
}
