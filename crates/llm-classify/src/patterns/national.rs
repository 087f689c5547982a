//! Numbers that states give to persons, and which of them can be.
//!
//! Every function takes the number without separators, in the characters that its shape allows.

use super::checksum::{luhn, mod_11_2, mod_11_10, remainder, verhoeff, weighted};

/// A number of two digits.
fn two(digits: &[u8]) -> u32 {
    remainder(&digits[..2], 100)
}

fn is_date(month: u32, day: u32) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// Whether eight digits are a date of our time, which would be no news.
fn is_recent_date(digits: &[u8]) -> bool {
    matches!(two(digits), 19 | 20) && is_date(two(&digits[4..]), two(&digits[6..]))
}

/// US: no check digit; never given are area 000, 666 and from 900, group 00, serial 0000 (Social Security
/// Administration, POMS RM 10201.035), and two numbers that advertisements made known.
pub(crate) fn us_ssn(digits: &[u8]) -> bool {
    !digits.starts_with(b"000")
        && !digits.starts_with(b"666")
        && !digits.starts_with(b"9")
        && &digits[3..5] != b"00"
        && &digits[5..] != b"0000"
        && digits != b"078051120"
        && digits != b"219099999"
}

/// UK: no check digit; letters and prefixes as HMRC gives them (National Insurance Manual, NIM39110).
pub(crate) fn uk_nino(number: &[u8]) -> bool {
    let [first, second] = [number[0], number[1]];
    !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && ![b"BG", b"GB", b"NK", b"KN", b"TN", b"NT", b"ZZ"].contains(&&[first, second])
        && number.last().is_some_and(|suffix| (b'A'..=b'D').contains(suffix))
}

/// Spain: the letter says the number modulo 23 (Real Decreto 1553/2005; Ministerio del Interior, "Cálculo del dígito de
/// control del NIF/NIE"). A date with a letter behind it is taken for a date.
pub(crate) fn es_dni(number: &[u8]) -> bool {
    let (letter, digits) = number.split_last().expect("its shape has nine characters");
    is_dni_letter(remainder(digits, 23), *letter) && !is_recent_date(digits)
}

/// Spain, of foreigners: X, Y and Z stand for 0, 1 and 2.
pub(crate) fn es_nie(number: &[u8]) -> bool {
    let [first @ b'X'..=b'Z', digits @ .., letter] = number else { return false };
    let first = u32::from(first - b'X') * 10_000_000;
    is_dni_letter((first + remainder(digits, 10_000_000)) % 23, *letter)
}

fn is_dni_letter(remainder: u32, letter: u8) -> bool {
    b"TRWAGMYFPDXBNJZSQVHLCKE"[remainder as usize] == letter
}

/// France: sex, year, month, place and order, and a key of 97 less their remainder by 97 (INSEE, "Numéro d'inscription
/// au répertoire"). In Corsica 2A and 2B count as 19 and 18.
pub(crate) fn fr_nir(number: &[u8]) -> bool {
    let mut digits: [u8; 15] = number.try_into().expect("its shape has fifteen characters");
    match digits[6] {
        b'A' => digits[5..7].copy_from_slice(b"19"),
        b'B' => digits[5..7].copy_from_slice(b"18"),
        _ => {}
    }
    let is_month = matches!(two(&digits[3..]), 1..=12 | 20..=42 | 50..=99);
    matches!(digits[0], b'1'..=b'4' | b'7' | b'8')
        && is_month
        && digits.iter().all(u8::is_ascii_digit)
        && 97 - remainder(&digits[..13], 97) == two(&digits[13..])
}

/// Germany: ISO 7064 MOD 11,10; of the ten digits before the check digit one comes twice or thrice and no other more
/// than once (Bundeszentralamt für Steuern, "Steuerliche Identifikationsnummer").
pub(crate) fn de_tax_id(digits: &[u8]) -> bool {
    let mut times = [0; 10];
    for digit in &digits[..10] {
        times[usize::from(digit - b'0')] += 1;
    }
    let repeated = times.iter().filter(|&&times| times > 1).count();
    digits[0] != b'0' && repeated == 1 && times.iter().all(|&times| times <= 3) && mod_11_10(digits)
}

/// Italy: a check letter over the other fifteen characters (Decreto del Ministero delle Finanze, 23 December 1976).
/// Numbers whose digits were replaced by letters, to tell apart two persons of the same one, are not recognised.
pub(crate) fn it_codice_fiscale(number: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let index = |character: u8| match character {
        b'0'..=b'9' => character - b'0',
        letter => letter - b'A',
    };
    let (check, characters) = number.split_last().expect("its shape has sixteen characters");
    let sum: u32 = characters
        .iter()
        .enumerate()
        .map(|(place, &character)| {
            let index = index(character);
            if place % 2 == 0 { ODD[usize::from(index)] } else { u32::from(index) }
        })
        .sum();
    let day = two(&number[9..]) % 40;
    b"ABCDEHLMPRST".contains(&number[8]) && (1..=31).contains(&day) && sum % 26 == u32::from(check - b'A')
}

/// Netherlands: the test of eleven with the last digit taken away (Rijksdienst voor Identiteitsgegevens, "Logisch Ontwerp
/// BSN").
pub(crate) fn nl_bsn(digits: &[u8]) -> bool {
    // Ten is minus one, modulo eleven.
    weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2, 10]).is_multiple_of(11) && digits.iter().any(|&digit| digit != b'0')
}

/// Poland: the date of birth, the century added to the month, and a check digit (Ustawa o ewidencji ludności, 2010, art. 15).
pub(crate) fn pl_pesel(digits: &[u8]) -> bool {
    is_date(two(&digits[2..]) % 20, two(&digits[4..]))
        && weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

/// Sweden: the date of birth, from day 61 for those who are not registered, and Luhn's check digit (Skatteverket, SKV 704).
pub(crate) fn se_personnummer(digits: &[u8]) -> bool {
    let short = &digits[digits.len() - 10..];
    let day = two(&short[4..]);
    is_date(two(&short[2..]), if day > 60 { day - 60 } else { day }) && luhn(short)
}

/// Brazil: two check digits modulo 11; eleven equal digits are right and not given (Receita Federal, Instrução Normativa
/// on the Cadastro de Pessoas Físicas).
pub(crate) fn br_cpf(digits: &[u8]) -> bool {
    let is_check = |place: usize| {
        let weights: [u32; 10] = std::array::from_fn(|digit| (place + 1).saturating_sub(digit) as u32);
        let check = weighted(&digits[..place], &weights) * 10 % 11 % 10;
        check == u32::from(digits[place] - b'0')
    };
    digits.iter().any(|digit| *digit != digits[0]) && is_check(9) && is_check(10)
}

/// India: Verhoeff's check digit, and no first digit of 0 or 1 (UIDAI, "A UID Numbering Scheme", 2010).
pub(crate) fn in_aadhaar(digits: &[u8]) -> bool {
    digits[0] >= b'2' && verhoeff(digits)
}

/// China: a region, the date of birth and a check digit by ISO 7064 MOD 11-2 (GB 11643-1999).
pub(crate) fn cn_resident_id(number: &[u8]) -> bool {
    let (check, digits) = number.split_last().expect("its shape has eighteen characters");
    matches!(two(digits), 11..=65 | 71 | 81..=83 | 91)
        && matches!(two(&digits[6..]), 18..=20)
        && is_date(two(&digits[10..]), two(&digits[12..]))
        && mod_11_2(digits, *check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corsicans_and_omitted_areas_are_known() {
        // 97 less the remainder of 1 55 08 19 168 025 by 97, as 2A counts.
        let key = 97 - remainder(b"1550819168025", 97);
        let number = format!("155082A168025{key:02}");
        assert!(fr_nir(number.as_bytes()));
        assert!(!fr_nir(number.replace('A', "B").as_bytes()));
        assert!(us_ssn(b"123456789") && !us_ssn(b"666456789") && !us_ssn(b"078051120"));
    }
}
