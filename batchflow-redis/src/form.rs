//! [`Form`]: the one command that writes a row, its words in order.

use batchflow_core::ConflictStrategy::{Fail, Ignore, Update};

use crate::command::is_sum;
use crate::connect::{Encoded, Literal, Words};
use crate::encode::Row;
use crate::layout::{Kind, Lifetime, Rule, Shape};

/// The one command that writes a row, its words in order.
#[derive(Debug)]
pub(crate) struct Form {
    name: &'static str,
    encoded_name: Literal,
    words: Vec<Word>,
}

#[derive(Debug)]
enum Word {
    /// The same for every row.
    Fixed(Literal),
    /// A part of the row.
    Part(usize),
    /// A word and the part after it, which both are left out where that is NULL.
    Pair(Literal, usize),
}

fn fixed(word: &str) -> Word {
    Word::Fixed(Literal::new(word.as_bytes()))
}

fn pair(word: &str, part: usize) -> Word {
    Word::Pair(Literal::new(word.as_bytes()), part)
}

impl Form {
    /// The command that writes rows of a shape, apart from a time to live of what is no string;
    /// `None` where one does not do, or not always the same. Of a hash's fields it writes those that
    /// are not NULL.
    pub(crate) fn of(shape: &Shape) -> Option<Self> {
        let rule = shape.cells.first().map_or(Rule::Set, |cell| cell.rule);
        // A key, a member where there is one, cells, and a time to live.
        let cell = 1 + usize::from(shape.member.is_some());
        let named = || shape.cells.iter().enumerate().map(|(at, of)| pair(&of.name, cell + at));
        let (name, words) = match shape.kind {
            Kind::Hash if shape.strategy == Update && shape.touch.is_none() => {
                if shape.cells.iter().any(|cell| cell.rule != Rule::Set) {
                    return None;
                }
                ("HSET", named().collect())
            }
            Kind::String | Kind::Json if !is_sum(shape) => ("SET", set(shape, rule, cell)),
            Kind::Stream => {
                let length = shape.max_len.map(|most| most.to_string());
                let length = length.iter().flat_map(|most| ["MAXLEN", "~", most]).map(fixed);
                ("XADD", length.chain([fixed("*")]).chain(named()).collect())
            }
            Kind::List => ("RPUSH", vec![Word::Part(cell)]),
            Kind::Set => ("SADD", vec![Word::Part(1)]),
            Kind::SortedSet if shape.strategy == Update && rule == Rule::Add => {
                ("ZINCRBY", vec![Word::Part(cell), Word::Part(1)])
            }
            Kind::SortedSet => {
                let option = match (shape.strategy, rule) {
                    (Fail | Ignore, _) | (Update, Rule::Keep | Rule::InsertOnly) => Some("NX"),
                    (Update, Rule::Max) => Some("GT"),
                    (Update, Rule::Min) => Some("LT"),
                    _ => None,
                };
                let parts = [Word::Part(cell), Word::Part(1)];
                ("ZADD", option.map(fixed).into_iter().chain(parts).collect())
            }
            Kind::Hash | Kind::String | Kind::Json | Kind::Command => return None,
        };
        Some(Self { name, encoded_name: Literal::new(name.as_bytes()), words })
    }

    /// Whether the command is all that writes a row.
    pub(crate) fn is_whole(shape: &Shape) -> bool {
        matches!(shape.kind, Kind::String | Kind::Json) || shape.lifetime == Lifetime::Unset
    }

    /// The command for a row.
    pub(crate) fn words(&self, row: &Row) -> Words {
        let mut words = Words::new(self.name, Vec::with_capacity(1 + 2 * self.words.len()));
        words.args.push(row.part_bytes(0));
        for word in &self.words {
            match word {
                Word::Fixed(fixed) => words.args.push(fixed.word().clone()),
                Word::Part(at) => words.args.push(row.part_bytes(*at)),
                Word::Pair(name, at) if row.part(*at).is_some() => {
                    words.args.extend([name.word().clone(), row.part_bytes(*at)]);
                }
                Word::Pair(..) => {}
            }
        }
        words
    }

    /// Appends the command for a row.
    pub(crate) fn encode(&self, row: &Row, out: &mut Encoded) {
        let count = |word: &Word| match word {
            Word::Fixed(_) | Word::Part(_) => 1,
            Word::Pair(_, at) => 2 * usize::from(row.part(*at).is_some()),
        };
        out.begin(2 + self.words.iter().map(count).sum::<usize>());
        out.literal(&self.encoded_name);
        out.word(row.part(0).unwrap_or_default());
        for word in &self.words {
            match word {
                Word::Fixed(fixed) => out.literal(fixed),
                Word::Part(at) => out.word(row.part(*at).unwrap_or_default()),
                Word::Pair(name, at) => {
                    if let Some(part) = row.part(*at) {
                        out.literal(name);
                        out.word(part);
                    }
                }
            }
        }
    }
}

/// The words of a `SET` after its key.
fn set(shape: &Shape, rule: Rule, value: usize) -> Vec<Word> {
    let mut words = vec![Word::Part(value)];
    let is_new = matches!(shape.strategy, Fail | Ignore)
        || (shape.kind == Kind::String && matches!(rule, Rule::Keep | Rule::InsertOnly));
    if is_new {
        words.push(fixed("NX"));
    }
    match shape.lifetime {
        Lifetime::Unset => {}
        Lifetime::Fixed(millis) => words.extend([fixed("PX"), fixed(&millis.to_string())]),
        Lifetime::Column(_) => words.push(pair("PX", value + 1)),
    }
    words
}

#[cfg(test)]
mod tests {
    use batchflow_core::{Batch, ConflictStrategy, Schema, Value};

    use super::*;
    use crate::layout::Layout;

    /// Whichever way it is sent, a row's command has the same words.
    #[test]
    fn a_command_is_encoded_as_its_words_are() {
        use ConflictStrategy::{Replace, Update};
        let fields = (["id", "name", "note"].as_slice(), 1);
        let value = (["id", "value"].as_slice(), 1);
        let timed = (["id", "value", "seconds"].as_slice(), 1);
        let member = (["id", "member"].as_slice(), 2);
        let score = (["id", "member", "score"].as_slice(), 2);
        let of = |layout: Layout, (columns, keys): (&[&'static str], usize), strategy| {
            let schema = Schema::builder("t").columns(columns.iter().copied());
            let schema = schema.key(columns[..keys].iter().copied()).on_conflict(strategy);
            let schema = schema.build().unwrap();
            let shape = Shape::new(&layout, &schema).unwrap();
            let form = Form::of(&shape).unwrap();
            let mut told = Vec::new();
            for last in [Value::from(7_i64), Value::Null] {
                let cells = (1_i64..).map(Value::from).take(columns.len() - 1).chain([last]);
                let cells: Vec<Value> = cells.collect();
                let batch = Batch::from_requests(vec![schema.row(cells).unwrap()]).unwrap();
                let mut row = Row::default();
                if row.encode(&shape, &batch, 0).is_err() {
                    continue;
                }
                let words = form.words(&row);
                let (mut by_form, mut by_words) = (Encoded::default(), Encoded::default());
                form.encode(&row, &mut by_form);
                by_words.command(&words);
                assert_eq!(by_form.bytes(), by_words.bytes(), "{words:?}");
                let args = words.args.iter().map(|word| String::from_utf8_lossy(word).into_owned());
                told.push([words.name.as_str().to_owned()].into_iter().chain(args).collect());
            }
            let told: Vec<Vec<String>> = told;
            told.iter().map(|words| words.join(" ")).collect::<Vec<_>>()
        };
        for (told, expected) in [
            (
                of(Layout::hash("h:"), fields, Update),
                &["HSET h:1 name 2 note 7", "HSET h:1 name 2"][..],
            ),
            (of(Layout::string("s:"), value, Ignore), &["SET s:1 7 NX"]),
            (
                of(Layout::string("s:").ttl_column("seconds"), timed, Update),
                &["SET s:1 2 PX 7000", "SET s:1 2"],
            ),
            (
                of(Layout::json("j:"), value, Replace),
                &[r#"SET j:1 {"value":7}"#, r#"SET j:1 {"value":null}"#],
            ),
            (
                of(Layout::stream("e:").max_len(9), fields, Fail),
                &["XADD e:1 MAXLEN ~ 9 * name 2 note 7", "XADD e:1 MAXLEN ~ 9 * name 2"],
            ),
            (of(Layout::list("l:"), value, Fail), &["RPUSH l:1 7"]),
            (of(Layout::set("m:"), member, Ignore), &["SADD m:1 7"]),
            (of(Layout::sorted_set("z:"), score, Fail), &["ZADD z:1 NX 7 2"]),
        ] {
            assert_eq!(told, expected);
        }
    }
}
