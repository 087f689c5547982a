//! Check digits. Every function takes ASCII digits and nothing else.

fn value(digit: u8) -> u32 {
    u32::from(digit - b'0')
}

/// The sum of the digits, each times its weight.
pub(crate) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(&digit, weight)| value(digit) * weight).sum()
}

/// The remainder of the number, of any length, by `modulus`.
pub(crate) fn remainder(digits: &[u8], modulus: u32) -> u32 {
    digits.iter().fold(0, |rest, &digit| (rest * 10 + value(digit)) % modulus)
}

/// Luhn's, ISO/IEC 7812-1 annex B: finds every changed digit and most swapped neighbours.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| {
            let weighted = value(digit) * if place % 2 == 1 { 2 } else { 1 };
            weighted / 10 + weighted % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Verhoeff's ("Error detecting decimal codes", 1969): finds every changed digit and all swapped neighbours.
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    const ONCE: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let check = digits.iter().rev().enumerate().fold(0, |check, (place, &digit)| {
        // The permutation is back where it began after eight times.
        let permuted = (0..place % 8).fold(value(digit), |digit, _| ONCE[digit as usize]);
        symmetries(check, permuted)
    });
    check == 0
}

/// The product of two symmetries of a pentagon: 0 to 4 turn it, 5 to 9 turn it over.
fn symmetries(first: u32, second: u32) -> u32 {
    match (first < 5, second < 5) {
        (true, true) => (first + second) % 5,
        (true, false) => 5 + (first + second) % 5,
        (false, true) => 5 + (first - second) % 5,
        (false, false) => (first + 5 - second) % 5,
    }
}

/// ISO 7064, MOD 11,10: the last digit checks the others.
pub(crate) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, digits)) = digits.split_last() else { return false };
    let product = digits.iter().fold(10, |product, &digit| match (value(digit) + product) % 10 {
        0 => 20 % 11,
        sum => sum * 2 % 11,
    });
    (11 - product) % 10 == value(*check)
}

/// ISO 7064, MOD 11-2: `check`, a digit or `X`, checks `digits`.
pub(crate) fn mod_11_2(digits: &[u8], check: u8) -> bool {
    let rest = digits.iter().fold(0, |rest, &digit| (rest + value(digit)) * 2 % 11);
    let check = if check == b'X' { 10 } else { value(check) };
    (rest + check) % 11 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_are_right_and_no_other_last_digit_is() {
        let only = |check: fn(&[u8]) -> bool, number: &str| {
            let (last, others) = number.as_bytes().split_last().expect("it has digits");
            for digit in b'0'..=b'9' {
                assert_eq!(check(&[others, &[digit]].concat()), digit == *last, "{number}, {digit}");
            }
        };
        only(luhn, "79927398713");
        only(luhn, "4111111111111111");
        only(verhoeff, "2363");
        only(verhoeff, "234123412346");
        only(mod_11_10, "86095742719");
        assert!(mod_11_2(b"11010519491231002", b'X') && !mod_11_2(b"11010519491231002", b'1'));
        assert!(mod_11_2(b"0794", b'0'));
    }

    #[test]
    fn verhoeff_finds_every_change_and_every_swap_of_neighbours() {
        let number = *b"234123412346";
        for place in 0..number.len() {
            for digit in b'0'..=b'9' {
                let mut changed = number;
                changed[place] = digit;
                assert_eq!(verhoeff(&changed), changed == number);
            }
            let mut swapped = number;
            swapped.swap(place, (place + 1) % number.len());
            if place + 1 < number.len() {
                assert_eq!(verhoeff(&swapped), swapped == number);
            }
        }
    }

    #[test]
    fn a_long_number_is_divided_as_a_whole() {
        assert_eq!(remainder(b"2550814168025", 97), 2_550_814_168_025_u64.rem_euclid(97) as u32);
        assert_eq!(weighted(b"123", &[3, 2, 1]), 10);
    }
}
