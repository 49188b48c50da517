//! SMBIOS structures, written after DSP0134 and filled in field by field.

pub struct Table {
    bytes: Vec<u8>,
    texts: Vec<String>,
}

impl Table {
    pub fn new(kind: u8, length: u8) -> Self {
        let mut bytes = vec![0; usize::from(length)];
        (bytes[0], bytes[1]) = (kind, length);
        Self { bytes, texts: Vec::new() }
    }

    /// Puts a byte where there is room.
    pub fn set(&mut self, offset: usize, value: u8) {
        if let Some(place) = self.bytes.get_mut(offset) {
            *place = value;
        }
    }

    fn put(mut self, offset: usize, value: &[u8]) -> Self {
        value.iter().enumerate().for_each(|(at, byte)| self.set(offset + at, *byte));
        self
    }

    pub fn byte(self, offset: usize, value: u8) -> Self {
        self.put(offset, &[value])
    }

    /// The number of a text that need not exist.
    pub fn raw_byte(self, offset: usize, value: u8) -> Self {
        self.byte(offset, value)
    }

    pub fn word(self, offset: usize, value: u16) -> Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub fn double_word(self, offset: usize, value: u32) -> Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub fn quad_word(self, offset: usize, value: u64) -> Self {
        self.put(offset, &value.to_le_bytes())
    }

    pub fn text(mut self, offset: usize, text: &str) -> Self {
        self.texts.push(text.to_owned());
        let number = u8::try_from(self.texts.len()).unwrap();
        self.put(offset, &[number])
    }

    /// Cuts or extends the formatted area, as older and newer versions of the specification have it.
    pub fn length(mut self, length: u8) -> Self {
        self.bytes.resize(usize::from(length), 0);
        self.bytes[1] = length;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut all = self.bytes.clone();
        self.texts.iter().for_each(|text| all.extend([text.as_bytes(), &[0]].concat()));
        all.extend(if self.texts.is_empty() { &[0, 0][..] } else { &[0] });
        all
    }
}

/// A memory array (type 16).
pub fn array(handle: u16, purpose: u8, most_kib: u32) -> Table {
    Table::new(16, 0x17).word(2, handle).byte(5, purpose).double_word(7, most_kib)
}

/// A module in an array (type 17), as version 3.3 has it.
pub fn module(array: u16) -> Table {
    Table::new(17, 0x5c).word(4, array)
}
