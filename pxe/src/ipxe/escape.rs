//! The one place where a value becomes part of an iPXE script.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Output, State, Value};

/// The longest value that is written, characters; a screen of iPXE has 80 columns.
const LONGEST: usize = 240;

/// minijinja's formatter: everything between `{{` and `}}` goes through here, whatever a template says of its safety.
pub fn write(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String | ValueKind::Number => {}
        other => return Err(Error::new(ErrorKind::InvalidOperation, format!("{other} has no place in an iPXE script"))),
    }
    out.write_str(&harmless(value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str()))?;
    Ok(())
}

/// The text with each character replaced that iPXE could take for something else: no `$`, `{`, `;`, `|`, `&`, `#`, no
/// control character, nothing beyond ASCII, which the BIOS console cannot show anyway.
pub fn harmless(text: &str) -> String {
    text.chars()
        .take(LONGEST)
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '-' | '_' | '.' | ':' | ',' | '/' | '(' | ')' | '=' | '+' | '@' | '%' => c,
            ';' => ',',
            '`' | '"' | '\'' => '\'',
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_values_stay_as_they_are() {
        for text in ["VM-0001", "52:54:00:12:34:56", "https://10.20.0.1:8444", "S/N 4711 (rev. 2)", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"]
        {
            assert_eq!(harmless(text), text);
        }
        assert_eq!(harmless("unknown = \"discover\" for `w1`"), "unknown = 'discover' for 'w1'");
    }

    #[test]
    fn nothing_is_left_that_ipxe_would_act_on() {
        assert_eq!(harmless("x\nshell"), "x?shell");
        assert_eq!(harmless("${net0/mac}"), "??net0/mac?");
        assert_eq!(harmless("a || b && c ; d # e"), "a ?? b ?? c , d ? e");
        assert_eq!(harmless("\u{1b}[2J\0\r\u{2028}ä"), "??2J????");
    }

    proptest! {
        #[test]
        fn no_value_can_hold_a_mark_of_the_script(text in any::<String>()) {
            let written = harmless(&text);
            prop_assert!(written.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
            let marks = written.contains(['$', '{', '}', ';', '|', '&', '#', '\\', '<', '>']);
            prop_assert!(!marks);
        }
    }
}
