//! The words near a number that say what it is.

/// Words as [`View::is_near`](super::view::View::is_near) reads them: a space stands for an optional space, hyphen or
/// underscore, an asterisk at the end for any more letters.
#[derive(Clone, Copy)]
pub(crate) struct Words(pub(crate) &'static [&'static str]);

pub(crate) const CARD: Words = Words(&[
    "card*",
    "visa",
    "karte*",
    "kreditkarte*",
    "carte",
    "carta",
    "tarjeta",
    "cartao",
    "cartão",
    "cc",
    "pan",
    "卡*",
]);
pub(crate) const US_SSN: Words = Words(&["ssn", "social security*", "social sec*"]);
pub(crate) const UK_NINO: Words = Words(&["nino", "national insurance*", "ni number", "ni no"]);
pub(crate) const ES_DNI: Words = Words(&["dni", "nie", "nif", "documento nacional*"]);
pub(crate) const DE_TAX_ID: Words =
    Words(&["steuer*", "idnr", "id nr", "identifikationsnummer", "tax id*", "tax number", "tin"]);
pub(crate) const NL_BSN: Words = Words(&["bsn", "burgerservice*", "sofi*"]);
pub(crate) const PL_PESEL: Words = Words(&["pesel"]);
pub(crate) const SE_PERSONNUMMER: Words = Words(&[
    "personnummer",
    "personnr",
    "pnr",
    "person number",
    "personal number",
    "personal identity*",
    "samordnings*",
]);
pub(crate) const BR_CPF: Words = Words(&["cpf"]);
pub(crate) const IN_AADHAAR: Words = Words(&["aadhaar*", "aadhar*", "adhaar", "uidai", "uid", "आधार"]);
pub(crate) const PHONE: Words = Words(&[
    "phone*",
    "telephone*",
    "tel",
    "telefon*",
    "teléfono",
    "téléphone",
    "tél",
    "mobile*",
    "mobil",
    "cell",
    "cellphone",
    "fax",
    "whatsapp",
    "sms",
    "call me*",
    "call us",
    "text me",
    "reach me*",
    "ring me",
    "móvil",
    "movil",
    "celular",
    "handynummer",
    "rufnummer",
    "телефон",
    "电话",
    "手机",
    "電話",
    "携帯",
    "전화",
]);
