//! Everything that is one command a row: strings, streams, lists, sets, sorted sets, and commands
//! themselves.

use std::fmt::Write as _;

use batchflow_core::ConflictStrategy::{Fail, Ignore, Update};

use super::{expire, quoted, width};
use crate::layout::{Kind, Lifetime, Rule, Shape};

/// Rows that are commands: the number of words, then the words. Where there is no memory for one,
/// those after it wait for it: they may need none.
pub(super) const COMMANDS: &str = "\
local i,full=1,nil
for j=0,n-1 do
 local c=a[i]
 local e=full or bad(P(unpack(a,i+1,i+c)))
 if e then
  if string.sub(e,1,4)=='OOM ' then full=e end
  out[#out+1]=j out[#out+1]=e
 end
 i=i+c+1
end
return out
";

/// Adds to a string: an integer to an integer as one, and to nothing that is a larger integer; with a
/// fraction on either side as floats.
const ADD: &str = "\
local function add(k,v)
 if string.find(v,'^-?%d+$') then
  local e=bad(P('INCRBY',k,v))
  if not e or not string.find(e,'value is not an integer',1,true) then return e end
  local old=P('GET',k)
  if type(old)~='string' or not string.find(old,'[.eE]') then return e end
 end
 return bad(P('INCRBYFLOAT',k,v))
end
";

pub(super) fn write(shape: &Shape, nulls: bool, lua: &mut String) {
    let rule = shape.cells.first().map_or(Rule::Set, |cell| cell.rule);
    if shape.kind == Kind::String && rule == Rule::Add {
        lua.push_str(ADD);
    }
    lua.push_str("local function row(i)\n local k=a[i]\n");
    match shape.kind {
        Kind::String => string(shape, rule, lua),
        Kind::Stream => stream(shape, nulls, lua),
        Kind::List => lua.push_str(" local e=bad(P('RPUSH',k,a[i+1]))\n if e then return e end\n"),
        Kind::Set => {
            lua.push_str(" local r=P('SADD',k,a[i+1])\n local e=bad(r)\n if e then return e end\n");
            if shape.strategy == Fail {
                lua.push_str(" if r==0 then return 'DUPLICATE' end\n");
            }
        }
        _ => sorted_set(shape, rule, lua),
    }
    if shape.kind != Kind::String || rule == Rule::Add {
        lua.push_str(&expire(shape));
    }
    lua.push_str("end\n");
}

/// The words of a `SET` that give it its time to live.
fn with_lifetime(shape: &Shape, call: &str) -> String {
    match shape.lifetime {
        Lifetime::Unset => format!("P({call})"),
        Lifetime::Fixed(millis) => format!("P({call},'PX','{millis}')"),
        Lifetime::Column(_) => {
            let at = width(shape) - 1;
            format!("(a[i+{at}] and P({call},'PX',a[i+{at}]) or P({call}))")
        }
    }
}

fn string(shape: &Shape, rule: Rule, lua: &mut String) {
    let only_new = matches!(shape.strategy, Fail | Ignore)
        || (shape.strategy == Update && matches!(rule, Rule::Keep | Rule::InsertOnly));
    let call = if only_new { "'SET',k,a[i+1],'NX'" } else { "'SET',k,a[i+1]" };
    let set = with_lifetime(shape, call);
    match (shape.strategy, rule) {
        (Update, Rule::Add) => lua.push_str(" local e=add(k,a[i+1])\n if e then return e end\n"),
        (Update, Rule::Max | Rule::Min) => {
            let wanted = if rule == Rule::Max { 1 } else { -1 };
            let _ = writeln!(
                lua,
                " local old=P('GET',k)\n local e=bad(old)\n if e then return e end\n if old then\n  \
                 local c=cmp(a[i+1],old)\n  if not c then return 'DATA' end\n  \
                 if c~={wanted} then return nil end\n end\n return bad({set})"
            );
        }
        (Fail, _) => {
            let _ = writeln!(
                lua,
                " local r={set}\n if not r then return 'DUPLICATE' end\n return bad(r)"
            );
        }
        _ => {
            let _ = writeln!(lua, " return bad({set})");
        }
    }
}

fn stream(shape: &Shape, nulls: bool, lua: &mut String) {
    let length = shape.max_len.map_or(String::new(), |most| format!("'MAXLEN','~','{most}',"));
    if nulls || shape.cells.len() > 60 {
        let _ = writeln!(lua, " local t={{'XADD',k,{length}'*'}}\n local v");
        for (at, cell) in shape.cells.iter().enumerate() {
            let name = quoted(&cell.name);
            let at = at + 1;
            let _ = writeln!(lua, " v=a[i+{at}] if v then t[#t+1]={name} t[#t+1]=v end");
        }
        lua.push_str(" local e=bad(P(unpack(t)))\n");
    } else {
        let _ = write!(lua, " local e=bad(P('XADD',k,{length}'*'");
        for (at, cell) in shape.cells.iter().enumerate() {
            let _ = write!(lua, ",{},a[i+{}]", quoted(&cell.name), at + 1);
        }
        lua.push_str("))\n");
    }
    lua.push_str(" if e then return e end\n");
}

fn sorted_set(shape: &Shape, rule: Rule, lua: &mut String) {
    let option = match (shape.strategy, rule) {
        (Fail | Ignore, _) | (Update, Rule::Keep | Rule::InsertOnly) => ",'NX'",
        (Update, Rule::Max) => ",'GT'",
        (Update, Rule::Min) => ",'LT'",
        _ => "",
    };
    let call = match (shape.strategy, rule) {
        (Update, Rule::Add) => "P('ZINCRBY',k,a[i+2],a[i+1])".to_owned(),
        _ => format!("P('ZADD',k{option},a[i+2],a[i+1])"),
    };
    let _ = writeln!(lua, " local r={call}\n local e=bad(r)\n if e then return e end");
    if shape.strategy == Fail {
        lua.push_str(" if r==0 then return 'DUPLICATE' end\n");
    }
}
