//! Numbers that are known by their form: cards, national numbers, telephones as they are written at home.

use super::{
    Pattern,
    card::{is_card, is_old_visa},
    national::*,
    phone::*,
    shape::Shape,
    view::View,
    words::{self, Words},
};

/// One form in which a pattern's numbers are written.
pub(crate) struct Form {
    pub(crate) pattern: Pattern,
    shape: Shape,
    is_valid: fn(&[u8]) -> bool,
    stands: Stands,
}

/// Where a number must stand to be taken for what it could be.
#[derive(Clone, Copy)]
enum Stands {
    /// Anywhere: form and check leave little to chance.
    Anywhere,
    /// Anywhere but in a list of such groups of digits.
    Apart,
    /// Near a word that says what it is.
    Near(Words),
}

impl Form {
    const fn new(pattern: Pattern, shape: &'static str, is_valid: fn(&[u8]) -> bool, stands: Stands) -> Self {
        Self { pattern, shape: Shape(shape), is_valid, stands }
    }

    /// How many digits stand in the first group of its numbers.
    pub(crate) fn first_group(&self) -> usize {
        self.shape.first_group()
    }

    /// Whether a number of this form has its first digit at `digit`.
    pub(crate) fn is_at(&self, view: &View<'_>, digit: usize) -> bool {
        self.shape.read(view, digit).is_some_and(|number| {
            (self.is_valid)(number.characters())
                && match self.stands {
                    Stands::Anywhere => true,
                    Stands::Apart => !view.is_in_list(number.start, number.end),
                    Stands::Near(words) => view.is_near(number.start, number.end, words),
                }
        })
    }
}

const fn anywhere(pattern: Pattern, shape: &'static str, is_valid: fn(&[u8]) -> bool) -> Form {
    Form::new(pattern, shape, is_valid, Stands::Anywhere)
}

const fn apart(pattern: Pattern, shape: &'static str, is_valid: fn(&[u8]) -> bool) -> Form {
    Form::new(pattern, shape, is_valid, Stands::Apart)
}

const fn near(words: Words, pattern: Pattern, shape: &'static str, is_valid: fn(&[u8]) -> bool) -> Form {
    Form::new(pattern, shape, is_valid, Stands::Near(words))
}

/// Every form. Those of one pattern stand together.
pub(crate) static FORMS: &[Form] = &[
    near(words::CARD, Pattern::Card, "ddddddddddddd", is_old_visa),
    anywhere(Pattern::Card, "dddddddddddddd", is_card),
    anywhere(Pattern::Card, "ddddddddddddddd", is_card),
    anywhere(Pattern::Card, "dddddddddddddddd", is_card),
    anywhere(Pattern::Card, "ddddddddddddddddd", is_card),
    anywhere(Pattern::Card, "dddddddddddddddddd", is_card),
    anywhere(Pattern::Card, "ddddddddddddddddddd", is_card),
    anywhere(Pattern::Card, "dddd_dddd_dddd_dddd", is_card),
    anywhere(Pattern::Card, "dddd_dddd_dddd_dddd_ddd", is_card),
    anywhere(Pattern::Card, "dddd_dddddd_ddddd", is_card),
    anywhere(Pattern::Card, "dddd_dddddd_dddd", is_card),
    anywhere(Pattern::UsSsn, "ddd-dd-dddd", us_ssn),
    near(words::US_SSN, Pattern::UsSsn, "ddd_dd_dddd", us_ssn),
    near(words::US_SSN, Pattern::UsSsn, "ddddddddd", us_ssn),
    anywhere(Pattern::UkNino, "AA_dd_dd_dd_A", uk_nino),
    near(words::UK_NINO, Pattern::UkNino, "aadddddda", uk_nino),
    near(words::UK_NINO, Pattern::UkNino, "aa_dddddd_a", uk_nino),
    near(words::UK_NINO, Pattern::UkNino, "aa_dd_dd_dd_a", uk_nino),
    anywhere(Pattern::EsDni, "ddddddddA", es_dni),
    anywhere(Pattern::EsDni, "dddddddd-A", es_dni),
    anywhere(Pattern::EsDni, "dd.ddd.ddd-A", es_dni),
    near(words::ES_DNI, Pattern::EsDni, "dddddddd~a", es_dni),
    near(words::ES_DNI, Pattern::EsDni, "dd.ddd.ddd~a", es_dni),
    anywhere(Pattern::EsDni, "AdddddddA", es_nie),
    anywhere(Pattern::EsDni, "A-ddddddd-A", es_nie),
    near(words::ES_DNI, Pattern::EsDni, "addddddda", es_nie),
    anywhere(Pattern::FrNir, "ddddddddddddddd", fr_nir),
    anywhere(Pattern::FrNir, "ddddddAdddddddd", fr_nir),
    anywhere(Pattern::FrNir, "d_dd_dd_dd_ddd_ddd_dd", fr_nir),
    anywhere(Pattern::FrNir, "d_dd_dd_dA_ddd_ddd_dd", fr_nir),
    near(words::DE_TAX_ID, Pattern::DeTaxId, "ddddddddddd", de_tax_id),
    near(words::DE_TAX_ID, Pattern::DeTaxId, "dd_ddd_ddd_ddd", de_tax_id),
    anywhere(Pattern::ItCodiceFiscale, "aaaaaaddaddaddda", it_codice_fiscale),
    near(words::NL_BSN, Pattern::NlBsn, "ddddddddd", nl_bsn),
    near(words::NL_BSN, Pattern::NlBsn, "dddd_dd_ddd", nl_bsn),
    near(words::NL_BSN, Pattern::NlBsn, "ddd_ddd_ddd", nl_bsn),
    near(words::PL_PESEL, Pattern::PlPesel, "ddddddddddd", pl_pesel),
    near(words::SE_PERSONNUMMER, Pattern::SePersonnummer, "dddddddddd", se_personnummer),
    near(words::SE_PERSONNUMMER, Pattern::SePersonnummer, "dddddd-dddd", se_personnummer),
    near(words::SE_PERSONNUMMER, Pattern::SePersonnummer, "dddddd+dddd", se_personnummer),
    near(words::SE_PERSONNUMMER, Pattern::SePersonnummer, "dddddddddddd", se_personnummer),
    near(words::SE_PERSONNUMMER, Pattern::SePersonnummer, "dddddddd-dddd", se_personnummer),
    anywhere(Pattern::BrCpf, "ddd.ddd.ddd-dd", br_cpf),
    near(words::BR_CPF, Pattern::BrCpf, "ddddddddddd", br_cpf),
    near(words::IN_AADHAAR, Pattern::InAadhaar, "dddddddddddd", in_aadhaar),
    near(words::IN_AADHAAR, Pattern::InAadhaar, "dddd_dddd_dddd", in_aadhaar),
    anywhere(Pattern::CnResidentId, "dddddddddddddddddd", cn_resident_id),
    anywhere(Pattern::CnResidentId, "dddddddddddddddddX", cn_resident_id),
    anywhere(Pattern::CnResidentId, "dddddddddddddddddx", cn_resident_id),
    anywhere(Pattern::Phone, "(ddd)~ddd~dddd", is_north_american),
    anywhere(Pattern::Phone, "ddd-ddd-dddd", is_north_american),
    anywhere(Pattern::Phone, "ddd.ddd.dddd", is_north_american),
    anywhere(Pattern::Phone, "d-ddd-ddd-dddd", is_north_american),
    apart(Pattern::Phone, "dd_dd_dd_dd_dd", is_french),
    apart(Pattern::Phone, "ddddd_dddddd", is_british),
    apart(Pattern::Phone, "ddddd_ddd_ddd", is_british),
    apart(Pattern::Phone, "(ddddd)~dddddd", is_british),
    apart(Pattern::Phone, "dddd_ddd_dddd", is_british),
    apart(Pattern::Phone, "(dddd)~ddd~dddd", is_british),
    apart(Pattern::Phone, "ddd_dddd_dddd", is_of_eleven),
    apart(Pattern::Phone, "(ddd)~dddd~dddd", is_of_eleven),
    apart(Pattern::Phone, "dd_dddd_dddd", is_of_ten),
    apart(Pattern::Phone, "(dd)~dddd~dddd", is_brazilian_or_of_ten),
    apart(Pattern::Phone, "(dd)~ddddd~dddd", is_brazilian_or_of_ten),
    apart(Pattern::Phone, "dddd_ddd_ddd", is_of_ten),
    apart(Pattern::Phone, "ddd_ddd_dd_dd", is_of_ten),
    near(words::PHONE, Pattern::Phone, "ddd_dddd", is_local),
];
