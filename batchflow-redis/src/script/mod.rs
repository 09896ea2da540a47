//! [`Script`]: the Lua that writes rows of one shape, each for itself.
//!
//! A script is handed all rows as one packed argument, and their number. It writes each with
//! `redis.pcall`, so that one that is refused stops no other, and answers with the refused ones:
//! position, error, position, error. What a row takes several commands for is undone where one of
//! them fails, but for what follows a row that is written, its time to live say: that row is `PARTLY`
//! written, and its outcome unknown.

mod hash;
mod json;
mod plain;

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use batchflow_core::ConflictStrategy;

use crate::layout::{Kind, Lifetime, Rule, Shape};

/// What every script begins with.
const HEAD: &str = "\
local a=cmsgpack.unpack(ARGV[1])
local n=tonumber(ARGV[2])
local P,type=redis.pcall,type
local out={}
local function bad(r) return type(r)=='table' and r.err or nil end
";

/// Compares two texts as numbers, decimals digit by digit, or as moments; nil where they are neither.
const COMPARE: &str = "\
local function plain(x)
 local s,w,f=string.match(x,'^(-?)(%d+)%.?(%d*)$')
 if not s then return nil end
 w=(string.gsub(w,'^0+','')) f=(string.gsub(f,'0+$',''))
 if w=='' and f=='' then s='' end
 return s,w,f
end
local function cmp(x,y)
 local sx,wx,fx=plain(x)
 local sy,wy,fy=plain(y)
 if sx and sy then
  if sx~=sy then return sx=='-' and -1 or 1 end
  local c=0
  if #wx~=#wy then c=#wx<#wy and -1 or 1
  elseif wx~=wy then c=wx<wy and -1 or 1
  elseif fx~=fy then c=fx<fy and -1 or 1 end
  if sx=='-' then c=-c end
  return c
 end
 local nx,ny=tonumber(x),tonumber(y)
 if nx and ny then return nx<ny and -1 or (nx>ny and 1 or 0) end
 local mx=string.match(x,'^(%d[%dT:.-]*)Z?$')
 local my=string.match(y,'^(%d[%dT:.-]*)Z?$')
 if nx or ny or not mx or not my then return nil end
 return mx<my and -1 or (mx>my and 1 or 0)
end
";

/// The server's clock in ISO 8601, to the microsecond.
const NOW: &str = "\
local function iso()
 local t=redis.call('TIME')
 local s,m=tonumber(t[1]),tonumber(t[2])
 local z=math.floor(s/86400)+719468
 local d=s%86400
 local era=math.floor(z/146097)
 local doe=z-era*146097
 local yoe=math.floor((doe-math.floor(doe/1460)+math.floor(doe/36524)-math.floor(doe/146096))/365)
 local doy=doe-(365*yoe+math.floor(yoe/4)-math.floor(yoe/100))
 local mp=math.floor((5*doy+2)/153)
 local day=doy-math.floor((153*mp+2)/5)+1
 local month=mp<10 and mp+3 or mp-9
 local year=yoe+era*400+(month<=2 and 1 or 0)
 return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ',year,month,day,
  math.floor(d/3600),math.floor(d/60)%60,d%60,m)
end
local now=iso()
";

/// What every script but that of commands ends with.
const TAIL: &str = "\
for j=0,n-1 do
 local e=row(j*W+1)
 if e then out[#out+1]=j out[#out+1]=e end
end
return out
";

/// Rows of one call each: their values are unpacked row by row into variables, behind the packed
/// array's header of 5 bytes. A table of them all, and a function for each row, take longer than
/// a short call.
const LOOP: &str = "\
local s,n=ARGV[1],tonumber(ARGV[2])
local P,type,U=redis.pcall,type,cmsgpack.unpack_limit
local out={}
local o,VALUES=5
for j=0,n-1 do
 o,VALUES=U(s,WIDTH,o)
 local r=CALL
 if type(r)=='table' and r.err then out[#out+1]=j out[#out+1]=r.err end
end
return out
";

/// A script, and the name that the server has given it.
#[derive(Debug)]
pub(crate) struct Script {
    text: String,
    sha: Mutex<Option<String>>,
}

impl Script {
    /// The script for rows of a shape, some of whose values are NULL or none of them.
    pub(crate) fn new(shape: &Shape, nulls: bool) -> Self {
        Self { text: text(shape, nulls), sha: Mutex::default() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What it is called by; `None` until it was loaded.
    pub(crate) fn sha(&self) -> Option<String> {
        self.sha.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn loaded(&self, sha: &str) {
        *self.sha.lock().unwrap_or_else(PoisonError::into_inner) = Some(sha.to_owned());
    }
}

fn text(shape: &Shape, nulls: bool) -> String {
    let now = if shape.touch.is_some() { NOW } else { "" };
    if let Some(call) = one_call(shape, nulls) {
        let values: Vec<String> = (0..width(shape)).map(variable).collect();
        let replaced = LOOP.replace("VALUES", &values.join(","));
        let replaced = replaced.replace("WIDTH", &values.len().to_string());
        return now.to_owned() + &replaced.replace("CALL", &call);
    }
    let mut lua = HEAD.to_owned();
    if shape.cells.iter().any(|cell| matches!(cell.rule, Rule::Max | Rule::Min))
        && matches!(shape.kind, Kind::Hash | Kind::String)
    {
        lua.push_str(COMPARE);
    }
    lua.push_str(now);
    match shape.kind {
        Kind::Command => {
            lua.push_str(plain::COMMANDS);
            return lua;
        }
        Kind::Hash => hash::write(shape, nulls, &mut lua),
        Kind::Json => json::write(shape, &mut lua),
        _ => plain::write(shape, nulls, &mut lua),
    }
    lua.push_str(&TAIL.replace('W', &width(shape).to_string()));
    lua
}

/// The variable of a row's `nth` value in [`LOOP`]; the first is its key.
fn variable(nth: usize) -> String {
    format!("v{nth}")
}

/// The one call that writes a row, where one is all it takes.
fn one_call(shape: &Shape, nulls: bool) -> Option<String> {
    let writes_over = match shape.strategy {
        ConflictStrategy::Replace => shape.kind != Kind::Hash,
        ConflictStrategy::Update => shape.cells.iter().all(|cell| cell.rule == Rule::Set),
        _ => false,
    };
    match (shape.kind, shape.lifetime) {
        (Kind::Hash, Lifetime::Unset) if writes_over && !nulls => hash::set(shape),
        (Kind::String, Lifetime::Unset) if writes_over => Some("P('SET',v0,v1)".to_owned()),
        (Kind::String, Lifetime::Fixed(millis)) if writes_over => {
            Some(format!("P('SET',v0,v1,'PX','{millis}')"))
        }
        _ => None,
    }
}

/// How many parts a row has.
fn width(shape: &Shape) -> usize {
    let cells = if shape.kind == Kind::Json { 1 } else { shape.cells.len() };
    let lifetime = usize::from(matches!(shape.lifetime, Lifetime::Column(_)));
    1 + usize::from(shape.member.is_some()) + cells + lifetime
}

/// A statement that gives the key `k` its time to live, once the row is written.
fn expire(shape: &Shape) -> String {
    match shape.lifetime {
        Lifetime::Unset => String::new(),
        Lifetime::Fixed(millis) => pexpire(&format!("'{millis}'")),
        Lifetime::Column(_) => {
            let at = width(shape) - 1;
            format!(" if a[i+{at}] then\n{} end\n", pexpire(&format!("a[i+{at}]")))
        }
    }
}

fn pexpire(millis: &str) -> String {
    format!(" local late=bad(P('PEXPIRE',k,{millis})) if late then return 'PARTLY '..late end\n")
}

/// A Lua expression of a text.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b' ' | b':' | b'.') {
            quoted.push(char::from(byte));
        } else {
            let _ = write!(quoted, "\\{byte:03}");
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_code() {
        assert_eq!(quoted("name"), "'name'");
        assert_eq!(quoted("a'b\\c\n"), "'a\\039b\\092c\\010'");
        assert_eq!(quoted("\u{fc}"), "'\\195\\188'");
    }
}
