//! Hashes: a field a column.

use std::fmt::Write as _;

use batchflow_core::ConflictStrategy;

use super::{expire, quoted, variable};
use crate::layout::{Lifetime, Rule, Shape};

/// The most words that are written out as arguments of one call.
const MOST_WORDS: usize = 120;

/// Adds to a field: an integer to an integer as one, and to nothing that is a larger integer; with a
/// fraction on either side as floats.
const ADD: &str = "\
local function add(k,f,v)
 if string.find(v,'^-?%d+$') then
  local e=bad(P('HINCRBY',k,f,v))
  if not e or not string.find(e,'hash value is not an integer',1,true) then return e end
  local old=P('HGET',k,f)
  if type(old)~='string' or not string.find(old,'[.eE]') then return e end
 end
 return bad(P('HINCRBYFLOAT',k,f,v))
end
";

/// Writes a field if its value is below, or above, another.
const BOUND: &str = "\
local function bound(k,f,v,w)
 local old=P('HGET',k,f)
 local e=bad(old)
 if e then return e end
 if old then
  local c=cmp(v,old)
  if not c then return 'DATA' end
  if c~=w then return nil end
 end
 return bad(P('HSET',k,f,v))
end
";

pub(super) fn write(shape: &Shape, nulls: bool, lua: &mut String) {
    if shape.strategy == ConflictStrategy::Update && (nulls || !only_sets(shape)) {
        return update(shape, lua);
    }
    lua.push_str("local function row(i)\n local k=a[i]\n");
    match shape.strategy {
        ConflictStrategy::Fail => {
            lua.push_str(
                " local x=P('EXISTS',k)\n if x~=0 then return bad(x) or 'DUPLICATE' end\n",
            );
        }
        ConflictStrategy::Ignore => {
            lua.push_str(" local x=P('EXISTS',k)\n if x~=0 then return bad(x) end\n");
        }
        _ => {}
    }
    let is_filled = nulls || shape.cells.len() * 2 > MOST_WORDS;
    let call = if is_filled {
        fill(shape, lua);
        "P(unpack(t))".to_owned()
    } else {
        literal(shape, "k", |nth| format!("a[i+{nth}]"))
    };
    let _ = writeln!(lua, " local e=bad({call})");
    if shape.strategy == ConflictStrategy::Replace {
        replace(shape, &call, is_filled, lua);
    }
    lua.push_str(" if e then return e end\n");
    if shape.strategy == ConflictStrategy::Replace && !matches!(shape.lifetime, Lifetime::Fixed(_))
    {
        // What was there may have had a time to live.
        lua.push_str(" e=bad(P('PERSIST',k)) if e then return 'PARTLY '..e end\n");
    }
    lua.push_str(&expire(shape));
    lua.push_str("end\n");
}

/// The call that writes every field, if it can be written out.
pub(super) fn set(shape: &Shape) -> Option<String> {
    (shape.cells.len() * 2 <= MOST_WORDS).then(|| literal(shape, &variable(0), variable))
}

/// An `HSET` whose words are written out. `value` names the row's `nth` value.
fn literal(shape: &Shape, key: &str, value: impl Fn(usize) -> String) -> String {
    let mut words = format!("P('HSET',{key}");
    for (at, cell) in shape.cells.iter().enumerate() {
        let _ = write!(words, ",{},{}", quoted(&cell.name), value(at + 1));
    }
    if let Some(touch) = &shape.touch {
        let _ = write!(words, ",{},now", quoted(touch));
    }
    words.push(')');
    words
}

/// Whether every column is written over what is there.
fn only_sets(shape: &Shape) -> bool {
    shape.cells.iter().all(|cell| cell.rule == Rule::Set)
}

/// Gathers the words of an `HSET` in `t`, without what is NULL.
fn fill(shape: &Shape, lua: &mut String) {
    lua.push_str(" local t={'HSET',k}\n local v\n");
    for (at, cell) in shape.cells.iter().enumerate() {
        let name = quoted(&cell.name);
        let _ = writeln!(lua, " v=a[i+{}] if v then t[#t+1]={name} t[#t+1]=v end", at + 1);
    }
    if let Some(touch) = &shape.touch {
        let _ = writeln!(lua, " t[#t+1]={} t[#t+1]=now", quoted(touch));
    }
}

/// Takes what was there before away: fields that were not written, or a value of another type.
/// They go last, so that nothing is lost where the server has no memory for the new.
fn replace(shape: &Shape, call: &str, is_filled: bool, lua: &mut String) {
    let _ = writeln!(
        lua,
        " if e and string.sub(e,1,9)=='WRONGTYPE' then P('DEL',k) e=bad({call}) \
         if e then return 'PARTLY '..e end end"
    );
    lua.push_str(" if e then return e end\n");
    lua.push_str(" local fields=P('HLEN',k)\n e=bad(fields) if e then return 'PARTLY '..e end\n");
    if is_filled {
        lua.push_str(" if fields>(#t-2)/2 then\n  local keep={}\n");
        lua.push_str("  for q=3,#t,2 do keep[t[q]]=true end\n");
    } else {
        let fields = shape.cells.len() + usize::from(shape.touch.is_some());
        let _ = writeln!(lua, " if fields>{fields} then\n  local keep={{}}");
        for name in shape.cells.iter().map(|cell| &cell.name).chain(&shape.touch) {
            let _ = writeln!(lua, "  keep[{}]=true", quoted(name));
        }
    }
    lua.push_str(
        "  local all=P('HKEYS',k)\n  e=bad(all) if e then return 'PARTLY '..e end\n  \
         for _,f in ipairs(all) do if not keep[f] then\n   \
         e=bad(P('HDEL',k,f)) if e then return 'PARTLY '..e end\n  end end\n",
    );
    lua.push_str(" end\n");
}

/// An update by rules, or one that takes fields away. What it began is undone where a step fails.
fn update(shape: &Shape, lua: &mut String) {
    let uses = |rules: &[Rule]| shape.cells.iter().any(|cell| rules.contains(&cell.rule));
    if uses(&[Rule::Add]) {
        lua.push_str(ADD);
    }
    if uses(&[Rule::Max, Rule::Min]) {
        lua.push_str(BOUND);
    }
    let names: Vec<String> =
        shape.cells.iter().map(|cell| &cell.name).chain(&shape.touch).map(|n| quoted(n)).collect();
    let _ = writeln!(lua, "local fs={{{}}}", names.join(","));
    lua.push_str("local function row(i)\n local k=a[i]\n");
    if uses(&[Rule::InsertOnly]) {
        lua.push_str(" local x=P('EXISTS',k)\n local e0=bad(x)\n if e0 then return e0 end\n");
    }
    lua.push_str(
        " local old=P('HMGET',k,unpack(fs))\n local e=bad(old)\n if e then return e end\n",
    );
    lua.push_str(" local t,d={'HSET',k},{'HDEL',k}\n local v\n repeat\n");
    for (at, cell) in shape.cells.iter().enumerate() {
        let (name, at) = (quoted(&cell.name), at + 1);
        let _ = match cell.rule {
            Rule::Set => writeln!(
                lua,
                "  v=a[i+{at}] if v then t[#t+1]={name} t[#t+1]=v else d[#d+1]={name} end"
            ),
            Rule::InsertOnly => {
                writeln!(lua, "  v=a[i+{at}] if v and x==0 then t[#t+1]={name} t[#t+1]=v end")
            }
            Rule::Add => {
                writeln!(lua, "  v=a[i+{at}] if v then e=add(k,{name},v) if e then break end end")
            }
            Rule::Max | Rule::Min => {
                let wanted = if cell.rule == Rule::Max { 1 } else { -1 };
                writeln!(
                    lua,
                    "  v=a[i+{at}] if v then e=bound(k,{name},v,{wanted}) if e then break end end"
                )
            }
            Rule::Keep => writeln!(
                lua,
                "  v=a[i+{at}] if v then e=bad(P('HSETNX',k,{name},v)) if e then break end end"
            ),
        };
    }
    if let Some(touch) = &shape.touch {
        let _ = writeln!(lua, "  t[#t+1]={} t[#t+1]=now", quoted(touch));
    }
    lua.push_str("  if #t>2 then e=bad(P(unpack(t))) if e then break end end\n");
    lua.push_str("  if #d>2 then e=bad(P(unpack(d))) if e then break end end\n");
    lua.push_str(" until true\n if e then\n");
    lua.push_str(
        "  for q=1,#fs do if old[q] then P('HSET',k,fs[q],old[q]) else P('HDEL',k,fs[q]) end end\n",
    );
    lua.push_str("  return e\n end\n");
    lua.push_str(&expire(shape));
    lua.push_str("end\n");
}
