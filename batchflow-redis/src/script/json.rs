//! JSON objects: merged member by member, each value kept as it was written.
//!
//! Lua's own JSON would read numbers as doubles and write an empty array as an object, so the
//! objects are only cut into their members and put together again.

use std::fmt::Write as _;

use batchflow_core::ConflictStrategy::{Fail, Ignore, Replace};

use super::{quoted, width};
use crate::layout::{Lifetime, Rule, Shape};

/// Cuts an object into the texts of its members; nil where it is none.
const MEMBERS: &str = r#"
local function skip(s,i) return string.find(s,'[^ \t\r\n]',i) or #s+1 end
local function str(s,i)
 local j=i+1
 while true do
  local q=string.find(s,'["\\]',j)
  if not q then return nil end
  if string.sub(s,q,q)=='"' then return q+1 end
  j=q+2
 end
end
local function val(s,i)
 local c=string.sub(s,i,i)
 if c=='"' then return str(s,i) end
 if c~='{' and c~='[' then return string.find(s,'[,}%] \t\r\n]',i) end
 local d,j=0,i
 while true do
  local q=string.find(s,'["%[%]{}]',j)
  if not q then return nil end
  c=string.sub(s,q,q)
  if c=='"' then
   j=str(s,q)
   if not j then return nil end
  else
   d=d+((c=='{' or c=='[') and 1 or -1)
   j=q+1
   if d==0 then return j end
  end
 end
end
local function members(s)
 local ks,vs={},{}
 local i=skip(s,1)
 if string.sub(s,i,i)~='{' then return nil end
 i=skip(s,i+1)
 if string.sub(s,i,i)=='}' then return ks,vs end
 while true do
  if string.sub(s,i,i)~='"' then return nil end
  local e=str(s,i)
  if not e then return nil end
  local k=string.sub(s,i,e-1)
  i=skip(s,e)
  if string.sub(s,i,i)~=':' then return nil end
  i=skip(s,i+1)
  e=val(s,i)
  if not e or e==i then return nil end
  if not vs[k] then ks[#ks+1]=k end
  vs[k]=string.sub(s,i,e-1)
  i=skip(s,e)
  local c=string.sub(s,i,i)
  if c=='}' then return ks,vs end
  if c~=',' then return nil end
  i=skip(s,i+1)
 end
end
"#;

pub(super) fn write(shape: &Shape, lua: &mut String) {
    let (fixed, column) = match shape.lifetime {
        Lifetime::Unset => (String::new(), None),
        Lifetime::Fixed(millis) => (format!(",'PX','{millis}'"), None),
        Lifetime::Column(_) => (String::new(), Some(width(shape) - 1)),
    };
    let set = |value: &str, more: &str, otherwise: &str| match column {
        None if fixed.is_empty() => format!("P('SET',k,{value}{more}{otherwise})"),
        None => format!("P('SET',k,{value}{more}{fixed})"),
        Some(at) => format!(
            "(a[i+{at}] and P('SET',k,{value}{more},'PX',a[i+{at}]) or \
             P('SET',k,{value}{more}{otherwise}))"
        ),
    };
    if !matches!(shape.strategy, Fail | Ignore | Replace) {
        lua.push_str(MEMBERS);
        rules(shape, lua);
    }
    lua.push_str("local function row(i)\n local k=a[i]\n");
    let _ = match shape.strategy {
        Fail => writeln!(
            lua,
            " local r={}\n if not r then return 'DUPLICATE' end\n return bad(r)",
            set("a[i+1]", ",'NX'", "")
        ),
        Ignore => writeln!(lua, " return bad({})", set("a[i+1]", ",'NX'", "")),
        Replace => writeln!(lua, " return bad({})", set("a[i+1]", "", "")),
        _ => writeln!(
            lua,
            " local old=P('GET',k)\n local e=bad(old)\n if e then return e end\n \
             if not old then return bad({}) end\n \
             local ks,vs=members(old)\n local kn,vn=members(a[i+1])\n \
             if not ks or not kn then return 'DATA' end\n \
             for _,f in ipairs(kn) do\n  \
             local is,rule=vs[f],rules[f]\n  \
             if not (rule=='new' or (rule=='keep' and is and is~='null')) then\n   \
             if not is then ks[#ks+1]=f end\n   vs[f]=vn[f]\n  end\n end\n \
             local parts={{}}\n for q,f in ipairs(ks) do parts[q]=f..':'..vs[f] end\n \
             local doc='{{'..table.concat(parts,',')..'}}'\n return bad({})",
            set("a[i+1]", "", ""),
            set("doc", "", ",'KEEPTTL'"),
        ),
    };
    lua.push_str("end\n");
}

/// What is done with members that are there already.
fn rules(shape: &Shape, lua: &mut String) {
    lua.push_str("local rules={}\n");
    for cell in &shape.cells {
        let rule = match cell.rule {
            Rule::Keep => "keep",
            Rule::InsertOnly => "new",
            _ => continue,
        };
        let mut name = Vec::new();
        crate::encode::json_string(&cell.name, &mut name);
        let name = quoted(&String::from_utf8_lossy(&name));
        let _ = writeln!(lua, "rules[{name}]='{rule}'");
    }
}
