//! Values as qemu-img reads them: what no version takes is told apart from what one does.

use std::ffi::{OsStr, OsString};

use crate::ByteSize;
use crate::option_table::ValueKind;
use crate::os::{ascii, from_units, units};

/// What is wrong with a value in every version, if something is.
pub(super) fn wrong(kind: ValueKind, value: &OsStr) -> Option<&'static str> {
    match kind {
        ValueKind::Size => (!is_size(value)).then_some(
            "a size is a number from 0 to 9223372036854775807 with an optional suffix b, k, M, G, T, P or E, as in 10G",
        ),
        ValueKind::Number { min, max, reason } => {
            let fits = |number: i64| number >= i64::from(min) && number <= i64::from(max);
            (!whole_number(value).is_some_and(fits)).then_some(reason)
        }
        ValueKind::Choice { of, reason } => (!of.iter().any(|choice| *choice == value)).then_some(reason),
        ValueKind::Options => (!is_option_list(value)).then_some(
            "a list of options must not be empty, begin with a comma or end in one: write -o KEY=VALUE,KEY=VALUE",
        ),
        ValueKind::Text | ValueKind::Image | ValueKind::Format | ValueKind::Object => None,
    }
}

/// A value with each comma doubled may end in some.
fn is_option_list(value: &OsStr) -> bool {
    let units = units(value);
    let comma = |unit: &&_| **unit == ascii(b',');
    let at_end = units.iter().rev().take_while(comma).count();
    !units.is_empty() && units.first() != Some(&ascii(b',')) && at_end % 2 == 0
}

/// Whether some version reads it as a size. The versions differ in exponents and in hexadecimal numbers with a suffix.
pub(super) fn is_size(value: &OsStr) -> bool {
    let Some(text) = value.to_str() else { return false };
    let text = text.trim_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    if text.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
        && !text.get(1..2).is_some_and(|second| second.eq_ignore_ascii_case("x"))
        && let Ok(size) = text.parse::<ByteSize>()
    {
        return size.as_u64() <= i64::MAX.unsigned_abs();
    }
    let (number, suffix) = match text.char_indices().next_back() {
        Some((at, last)) if is_suffix(last) => (text.get(..at).unwrap_or_default(), Some(last)),
        _ => (text, None),
    };
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // `b` and `e` are digits here.
        let digits = digits.strip_suffix(|c: char| is_suffix(c) && !c.is_ascii_hexdigit()).unwrap_or(digits);
        return !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let lacks_digits = exponent.is_empty() || (whole.is_empty() && fraction.is_empty());
    let is_decimal = !lacks_digits && digits(whole) && digits(fraction) && digits(exponent);
    // There is no part of a byte.
    let parts_a_byte =
        fraction.chars().any(|c| c != '0') && matches!(suffix, None | Some('b' | 'B')) && number == mantissa;
    // Whole numbers have been read above, so these are too large.
    let is_plain = number == whole;
    is_decimal && !parts_a_byte && !is_plain
}

fn is_suffix(c: char) -> bool {
    matches!(c.to_ascii_lowercase(), 'b' | 'k' | 'm' | 'g' | 't' | 'p' | 'e')
}

/// A whole number as strtol(3) reads it: `0x10` and `010` are 16 and 8.
pub(super) fn whole_number(value: &OsStr) -> Option<i64> {
    let text = value.to_str()?.trim_start();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    // `from_str_radix` would take a second sign.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok()?.checked_mul(sign)
}

/// The halves of `name=value`.
pub(super) fn name_and_value(operand: &OsStr) -> Option<(String, OsString)> {
    let units = units(operand);
    let at = units.iter().position(|&unit| unit == ascii(b'='))?;
    let (name, value) = (units.get(..at)?, units.get(at + 1..)?);
    Some((from_units(name.to_vec()).into_string().ok()?, from_units(value.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_that_some_version_takes() {
        for text in [
            "0", "1M", "08", "1.5G", "1.M", ".5M", "1e6", "1e3k", "1e-1G", "0x100000", "0X10", "0x10M", "+1M", " 1M",
            "7E", "1e", "0x1b", "1.0",
        ] {
            assert!(is_size(text.as_ref()), "{text:?}");
        }
        for text in [
            "",
            "-1",
            "-1M",
            "+-1",
            "1X",
            "10GB",
            "1kb",
            "1M ",
            "k",
            "inf",
            "nan",
            "1,5G",
            "1.5",
            "1.5b",
            "8E",
            "16E",
            "0x",
            "0xg",
            "1e+",
            ".",
            "+",
            "1 M",
            "99999999999999999999",
        ] {
            assert!(!is_size(text.as_ref()), "{text:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        for (text, number) in [("4", 4), ("0x10", 16), ("010", 8), ("+4", 4), ("-1", -1), ("0", 0), (" 7", 7)] {
            assert_eq!(whole_number(text.as_ref()), Some(number), "{text:?}");
        }
        for text in ["", "x", "4k", "1.5", "+-4", "08", "0x", "4 "] {
            assert_eq!(whole_number(text.as_ref()), None, "{text:?}");
        }
    }

    #[test]
    fn option_lists() {
        for (text, good) in [("a=b", true), ("", false), (",a", false), ("a,", false), ("a,,", true), ("a,,,", false)] {
            assert_eq!(is_option_list(text.as_ref()), good, "{text:?}");
        }
    }
}
