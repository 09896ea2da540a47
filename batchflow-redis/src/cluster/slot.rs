//! Which of a cluster's slots a key is in.

/// How many slots a cluster has.
pub(crate) const SLOTS: usize = 16_384;

/// The key's slot: a checksum of the key, or of what stands between its first braces.
pub(crate) fn slot(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS as u16
}

fn tag(key: &[u8]) -> &[u8] {
    let inner = key.iter().position(|&byte| byte == b'{').and_then(|open| key.get(open + 1..));
    let inner = inner.and_then(|inner| {
        let close = inner.iter().position(|&byte| byte == b'}')?;
        inner.get(..close)
    });
    inner.filter(|inner| !inner.is_empty()).unwrap_or(key)
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, &byte| {
        let at = usize::from((crc >> 8) as u8 ^ byte);
        (crc << 8) ^ TABLE.get(at).copied().unwrap_or_default()
    })
}

/// The checksum of each byte, by the polynomial `x^16 + x^12 + x^5 + 1`.
const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = (at as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};
