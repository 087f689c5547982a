//! Words that hint at an intent, in the languages that people write to models most.
//!
//! What they are worth is learned, as for all features; a list only says that they belong together, which a few hundred
//! examples cannot. A word is looked up by its first six letters, and a word of ideographs (or Hangul) by its first two.

use std::sync::LazyLock;

use super::{class::Class, hash, text::shape};

/// The groups of words, each with what it hints at.
const CUES: [&str; Cues::GROUPS] = [
    // Programs, and what is done to them.
    "code codes coding function functions program programs programming programmer script scripts scripting implement \
     implementation debug debugging compile compiler refactor regex regexp query queries api apis class classes method \
     methods algorithm variable variables loop loops array arrays string strings bug bugs error errors exception \
     traceback stacktrace database databases table schema endpoint server deploy deployment container containers \
     kubectl backend frontend website webpage app apps application plugin library package module import compiler \
     command commands terminal shell repo repository branch commit config configuration yaml json xml csv button \
     async thread threads pointer recursion unittest tests pipeline cluster \
     codigo código función funcion programa codice funzione fonction fonctions programme código função codigos \
     funktion funktionen programm skript fehler abfrage datenbank \
     код кода функцию функция функции программа программу скрипт скрипта запрос ошибка ошибку \
     hàm mã lập trình kod kodu fonksiyon koodi funktio fungsi kode \
     代码 函数 脚本 程序 编程 接口 报错 数据库 算法 变量 代碼 程式 コード 関数 プログ スクリ エラー 코드 함수 프로그램 스크립트 오류",
    // Names of languages and tools.
    "python javascript typescript java kotlin swift swiftui rust golang cpp csharp php ruby perl lua bash zsh powershell \
     sql mysql postgres postgresql sqlite mongodb redis html css scss react vue angular svelte nextjs node nodejs npm \
     yarn django flask fastapi spring laravel rails dotnet net asp unity unreal godot pygame numpy pandas torch pytorch \
     tensorflow keras sklearn matplotlib ggplot opencv docker dockerfile kubernetes k8s helm terraform ansible jenkins \
     github gitlab git linux ubuntu debian windows excel vba latex arduino esp32 verilog vhdl matlab cuda cmake \
     gradle maven webpack nginx apache selenium playwright android ios flutter jquery bootstrap tailwind solidity \
     haskell scala elixir clojure rstudio jupyter vscode awk sed grep curl ffmpeg systemd aws azure gcp lambda haproxy \
     cython wpf winforms blazor graphql kafka spark airflow fortran cobol julia dart assembly bashrc vim neovim emacs \
     visual studio xcode intellij eclipse gcc clang llvm makefile poetry conda pip rails symfony wordpress shopify \
     firebase supabase heroku vercel cloudflare prometheus grafana elasticsearch rabbitmq sqlalchemy hibernate \
     mybatis pyspark scipy plotly seaborn streamlit gradio langchain huggingface openai roblox minecraft raspberry \
     stm32 fpga pcb opengl vulkan webgl threejs d3 tkinter qt gtk selenium puppeteer scrapy beautifulsoup pytest jest \
     cypress junit wireguard openvpn iptables samba ssh ssl tls tcp udp http https oauth jwt cors websocket",
    // Numbers, and what is done to them.
    "solve compute calculate calculation evaluate simplify integrate differentiate derive prove proof theorem lemma \
     equation equations integral derivative matrix matrices eigenvalue eigenvalues vector vectors probability random \
     distribution variance deviation mean median average percent percentage ratio sum product factor polynomial \
     quadratic triangle circle radius angle area volume perimeter velocity acceleration force energy mass density \
     pressure voltage current resistance interest loan mortgage inflation depreciation profit cost costs price total \
     many much speed distance km kg ml mol molar concentration solution dilution statistics regression hypothesis \
     temperature heat photon wavelength frequency mole moles atom atoms electron electric magnetic field momentum torque \
     friction gravity kinetic potential capacitor inductor circuit ohm watt joule newton pascal kelvin enthalpy entropy \
     equilibrium reaction acid titration gas fluid flow beam stress strain elastic bending payment annuity npv irr dividend \
     bond yield balance ledger tax revenue budget dollars euros discount markup binomial poisson gaussian normal \
     bayesian hypothesis sigma theta lambda subset set group ring field isomorphism homomorphism topology convergence \
     continuous differentiable bounded converge series sequence limit maximum minimum optimum optimal inequality \
     scalar tensor determinant rank kernel basis permutation combination combinatorics dice coin marbles cards \
     logarithm sine cosine modulo divisible integer integers digit digits number numbers value formula graph coordinates \
     calcula calcular calcule resolver resuelve probabilidad ecuación ecuacion integral derivada cuánto cuántos cuanto \
     calculer résoudre équation probabilité combien dérivée \
     berechne berechnen löse gleichung wahrscheinlichkeit ableitung wieviel geschwindigkeit fläche volumen zinsen prozent \
     velocidad área volumen triángulo radio suma vitesse aire surface rayon somme pourcentage intérêts juros velocidade \
     raiz soma área ipotenusa velocità quanto quanti quanta \
     вычисли вычислите посчитай решите реши рассчитать найдите найти докажи докажите уравнение интеграл вероятность \
     производная формула формулу сколько предел скорость сила силу масса массу заряд напряжение ток температура давление \
     площадь объём радиус треугольник функции матрица дисперсия процент процентов сумма сумму число чисел \
     tính giải phương xác suất hesapla denklem laske montako kuinka hitung berapa oblicz równanie \
     计算 求解 概率 方程 函数 积分 导数 证明 多少 公式 面积 矩阵 体积 速度 半径 质量 电流 电压 温度 方差 期望 極限 极限 速度 面積 確率 計算 方程 求め 証明 積分 微分 계산 확률 방정식 적분 미분 증명",
    // Puzzles and deduction.
    "puzzle puzzles riddle riddles logic logical deduce deduction infer conclusion premise premises syllogism valid \
     invalid argument liar liars knight knights knave knaves truth lying lies taller shorter older younger oldest tallest \
     heavier left right clockwise sequence pattern crossing cross boat chess sudoku move moves tic seat seated seats \
     swap swaps position positions finish finished first second third fourth fifth order fallacy reason reasoning \
     entail imply implies statements statement nim guilty \
     acertijo adivinanza lógica énigme devinette logique rätsel logik загадка загадку логика логическую задача головоломка \
     谜语 推理 逻辑 谁是 なぞな 論理 推理 수수께끼 추리 논리",
    // Stories, poems and all that is made up.
    "story stories tale poem poems poetry haiku limerick sonnet song songs lyrics lyric verse verses chorus rap ballad \
     novel chapter scene screenplay script dialogue monologue character characters plot protagonist villain fanfic \
     fanfiction fiction fantasy roleplay rpg synopsis speech toast eulogy letter slogan slogans tagline \
     advertisement advert ad ads campaign caption captions post blog tweet instagram linkedin joke jokes funny comedy \
     humor humorous parody satire imagine pretend act dragon wizard princess knight detective romantic love narrator \
     setting worldbuilding cover essay hook lore backstory hero heroine style \
     cuento historia historias poema poemas canción cancion letra guion guión carta discurso eslogan \
     histoire poème poèmes chanson conte lettre scénario discours dialogue \
     geschichte gedicht lied liedtext märchen brief rede drehbuch \
     história poesia conto roteiro storia poesia canzone racconto \
     рассказ рассказа история историю стих стихи стихотворение поэма песню песня сказку сказка письмо сценарий \
     поздравление тост пост сюжет персонаж диалог \
     truyện chuyện thơ bài kịch şiir hikaye öykü şarkı tarina runo laulu cerita puisi wiersz opowiadanie piosenka verhaal \
     故事 小说 诗歌 写诗 首诗 歌词 剧本 角色 散文 作文 对联 情节 主角 文案 小説 物語 詩を 歌詞 ヒロイ 主人 設定 台本 시를 소설 이야기 가사 편지",
    // Work on a given text that makes less of it.
    "summarize summarise summary summaries summarizing extract extracts extraction classify classification categorize \
     sentiment positive negative label bullet bullets tldr  condense takeaways passage excerpt highlights identify \
     keywords entities mentioned according names list main key points invoice transcript minutes review reviews \
     resume resumen resumir extrae extraer clasifica résume résumer résumé extrais extraire classe \
     fasse zusammenfassung zusammenfassen zusammen extrahiere klassifiziere resumo resumir riassumi riassunto estrai \
     суммируй резюме кратко перескажи выдели извлеки краткое \
     tóm tắt özetle tiivistä ringkas ringkasan streść \
     总结 概括 摘要 提取 归纳 要点 分类 要約 抽出 まとめ 分類 요약 추출 분류",
    // Work on a given text that keeps what it says.
    "translate translation translating translated paraphrase paraphrasing rewrite rewriting reword rephrase rephrasing \
     proofread proofreading grammar grammatical spelling correct corrections polish shorten formal informal tone casual \
     polite professional concise improve sound sounds wording passive active simplified simpler plain edit editing \
     humanize \
     traduce traducir traduzca traducción corrige corregir reescribe parafrasea \
     traduis traduire traduisez traduction corrige corriger reformule reformuler réécris \
     übersetze übersetzen übersetzung korrigiere korrigieren umformulieren formuliere umschreiben \
     traduza traduzir corrija reescreva traduci tradurre correggi riscrivi \
     переведи перевести переведите перевод исправь исправьте перефразируй перепиши ошибки \
     dịch sửa çevir düzelt käännä korjaa terjemahkan przetłumacz popraw vertaal \
     翻译 改写 润色 修改 译成 翻成 校对 翻譯 翻訳 訳し 直して 添削 言い 번역 고쳐 교정 다듬",
    // Questions and wishes for advice.
    "what who whom when where why how which explain describe difference compare comparison recommend recommendation \
     suggest suggestion suggestions advice tips best should could tell about know cause causes symptoms plan planning \
     meaning define definition pros cons benefits history capital famous country hello hi hey thanks thank \
     qué que cómo como por cuál cuales dónde quién explica recomienda diferencia \
     quoi comment pourquoi quel quelle quels où qui explique expliquer conseils différence \
     was wie warum wer wann wo welche welcher erkläre erklären empfehle unterschied \
     porque qual quais explique come perché cosa spiega \
     что как почему зачем кто где когда какой какие объясни объясните расскажи посоветуй чем \
     là gì như nào tại sao nasıl neden nedir mikä miten miksi apa bagaimana mengapa jak co dlaczego hoe wat waarom \
     什么 为什 如何 怎么 怎样 哪些 解释 介绍 推荐 区别 何で なぜ どう 教え 説明 おすす 違い 무엇 어떻 왜요 설명 추천 차이",
    // Asks for something to be written or made.
    "write writing create generate make compose draft produce design build develop give come craft invent continue \
     escribe escribir escríbeme crea crear genera haz redacta écris écrire écrivez crée créer rédige rédiger génère \
     schreib schreibe schreiben erstelle erstellen verfasse generiere escreva escreve crie criar gere scrivi crea genera \
     напиши напишите написать создай создайте составь придумай сочини сгенерируй сделай \
     viết tạo soạn làm yaz oluştur kirjoita luo tulis buatkan buat napisz stwórz schrijf maak \
     写一 编写 创作 撰写 生成 帮我 续写 制作 寫一 書い 作っ 作成 考え 써줘 작성 만들",
    // Natural languages.
    "english spanish french german italian portuguese russian chinese mandarin japanese korean arabic hindi turkish \
     polish dutch swedish finnish greek latin vietnamese thai indonesian malay malayalam hebrew czech hungarian \
     inglés español francés alemán anglais espagnol français allemand englisch englische deutsch deutsche spanisch \
     französisch inglese italiano inglês português английский русский немецкий французский \
     英文 英语 中文 法语 日语 德语 英語 日本 中国 韩语 영어 한국 일본",
    // What one calls a text that is given.
    "text texts paragraph paragraphs sentence sentences email emails article articles document documents following \
     below above quote message messages essay report memo conversation thread abstract paper \
     texto textos párrafo frase frases correo siguiente texte phrase phrases paragraphe suivant \
     text satz sätze absatz folgenden folgende testo frase texto seguinte \
     текст текста предложение предложения следующий письмо абзац văn bản đoạn câu metin cümle teksti lause teks kalimat \
     文章 这段 下面 以下 句话 段落 文本 次の 文を この文 다음 문장 텍스트",
];

/// Slots of the table: a power of two, and several times the number of words.
const SLOTS: usize = 4_096;

/// Letters by which a word is looked up.
pub(crate) const LETTERS: usize = 6;

/// The words of all groups by their hash.
#[derive(Debug)]
pub(crate) struct Cues {
    /// The hash of a word in the upper bits, and the groups it is in. Empty slots have no groups.
    slots: [(u32, u16); SLOTS],
}

impl Cues {
    /// How many groups there are.
    pub(crate) const GROUPS: usize = 11;

    /// The table, which is filled once and lies in no heap.
    pub(crate) fn table() -> &'static Self {
        static TABLE: LazyLock<Cues> = LazyLock::new(Cues::new);
        &TABLE
    }

    fn new() -> Self {
        let mut cues = Self { slots: [(0, 0); SLOTS] };
        for (group, words) in CUES.iter().enumerate() {
            for word in words.split_ascii_whitespace() {
                let is_ideographs = word.chars().all(|char| Class::of(char) == Class::Ideograph);
                let letters = if is_ideographs { 2 } else { LETTERS };
                let hash = word.chars().take(letters).map(shape).fold(0, hash::add);
                let mut slot = Self::slot(hash);
                while cues.slots[slot].1 != 0 && cues.slots[slot].0 != hash {
                    slot = (slot + 1) % SLOTS;
                }
                cues.slots[slot] = (hash, cues.slots[slot].1 | 1 << group);
            }
        }
        cues
    }

    /// The groups of the word whose first letters have this hash, a bit for each.
    pub(crate) fn groups(&self, hash: u32) -> u16 {
        let mut slot = Self::slot(hash);
        // The table is never full, so there is an empty slot behind every word.
        while self.slots[slot].1 != 0 {
            if self.slots[slot].0 == hash {
                return self.slots[slot].1;
            }
            slot = (slot + 1) % SLOTS;
        }
        0
    }

    fn slot(hash: u32) -> usize {
        (hash >> 20) as usize % SLOTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_by_its_first_letters_and_the_table_has_room() {
        let groups = |word: &str| Cues::table().groups(word.chars().take(LETTERS).map(shape).fold(0, hash::add));
        assert_ne!(groups("translate") & 1 << 6, 0);
        assert_eq!(groups("translate"), groups("translation"));
        assert_ne!(groups("翻译") & 1 << 6, 0);
        assert_ne!(groups("k8s") & 1 << 1, 0);
        assert_eq!(groups("unheard"), 0);
        let used = Cues::table().slots.iter().filter(|(_, groups)| *groups != 0).count();
        assert!(used * 2 < SLOTS, "{used}");
    }

    #[test]
    fn every_word_of_the_lists_is_one_word() {
        for word in CUES.iter().flat_map(|words| words.split_ascii_whitespace()) {
            assert!(word.chars().all(|char| Class::of(char) != Class::Mark), "{word}");
            assert_eq!(word, word.to_lowercase());
        }
    }
}
