//! Still images: the items of a `meta` box (ISO/IEC 14496-12 and 23008-12).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::boxes::{Boxes, Fields, IsoBox, find};
use super::{Colour, Properties, bit_depth, corrupt, unsupported};
use crate::{Budget, ImageError};

/// Properties that turn or clip, which the reference does not, but which must be marked as essential.
const TURNING: [&[u8; 4]; 3] = [b"clap", b"irot", b"imir"];
/// What else may be marked so.
const KNOWN: [&[u8; 4]; 7] = [
    b"ispe", b"auxC", b"colr", b"av1C", b"pasp", b"pixi", b"a1op",
];

/// Work for an entry of a table.
const WORK_OF_ENTRY: u64 = 64;

#[derive(Default)]
struct Item {
    kind: [u8; 4],
    /// Offsets and lengths.
    extents: Vec<(u64, u64)>,
    /// Whether these are in the `idat` box.
    in_meta: bool,
    /// Places in the list of properties.
    properties: Vec<u16>,
    /// It has a property that must be understood and is not, or is not as it must be.
    is_unsupported: bool,
}

/// The items of a file.
pub(super) struct Items<'a> {
    file: &'a [u8],
    idat: &'a [u8],
    primary: u32,
    items: BTreeMap<u32, Item>,
    properties: Vec<IsoBox<'a>>,
    /// Kind, from, to.
    references: Vec<([u8; 4], u32, Vec<u32>)>,
}

/// How the primary item is made of others.
pub(super) enum Layout {
    Single(u32),
    Grid {
        rows: u32,
        columns: u32,
        tiles: Vec<u32>,
    },
}

impl<'a> Items<'a> {
    pub(super) fn read(
        file: &'a [u8],
        meta: &'a [u8],
        budget: &Budget<'_>,
    ) -> Result<Self, ImageError> {
        let body = meta.get(4..).ok_or_else(|| corrupt("no items"))?;
        let mut all = Self {
            file,
            idat: find(body, b"idat").unwrap_or_default(),
            primary: find(body, b"pitm")
                .and_then(primary)
                .ok_or_else(|| corrupt("no primary item"))?,
            items: BTreeMap::new(),
            properties: Vec::new(),
            references: Vec::new(),
        };
        if let Some(iinf) = find(body, b"iinf") {
            all.read_kinds(iinf, budget)?;
        }
        if let Some(iloc) = find(body, b"iloc") {
            all.read_places(Fields(iloc), budget)?
                .ok_or_else(|| corrupt("where items are"))?;
        }
        if let Some(iprp) = find(body, b"iprp") {
            for property in Boxes(find(iprp, b"ipco").unwrap_or_default()) {
                budget.charge(WORK_OF_ENTRY)?;
                all.properties.push(property);
            }
            for ipma in Boxes(iprp).filter(|found| found.kind == *b"ipma") {
                all.read_associations(Fields(ipma.body), budget)?
                    .ok_or_else(|| corrupt("which properties items have"))?;
            }
        }
        if let Some(iref) = find(body, b"iref") {
            all.read_references(iref, budget)?
                .ok_or_else(|| corrupt("references between items"))?;
        }
        Ok(all)
    }

    fn read_kinds(&mut self, iinf: &[u8], budget: &Budget<'_>) -> Result<(), ImageError> {
        let head = if iinf.first() == Some(&0) { 6 } else { 8 };
        for infe in Boxes(iinf.get(head..).unwrap_or_default()) {
            budget.charge(WORK_OF_ENTRY)?;
            let mut fields = Fields(infe.body);
            let entry = (|| {
                let (version, _) = fields.version()?;
                let id = match version {
                    2 => fields.u16()?.into(),
                    3 => fields.u32()?,
                    _ => return None,
                };
                fields.u16()?;
                Some((id, *fields.take(4)?.first_chunk()?))
            })();
            if let Some((id, kind)) = entry {
                self.items.entry(id).or_default().kind = kind;
            }
        }
        Ok(())
    }

    /// `Ok(None)` if the box is broken.
    fn read_places(
        &mut self,
        mut fields: Fields<'_>,
        budget: &Budget<'_>,
    ) -> Result<Option<()>, ImageError> {
        let Some((version, sizes, count)) = (|| {
            let (version, _) = fields.version()?;
            let sizes = fields.u16()?;
            let count = match version {
                0 | 1 => fields.u16()?.into(),
                2 => fields.u32()?,
                _ => return None,
            };
            Some((version, sizes, count))
        })() else {
            return Ok(None);
        };
        let size = |shift: u16| usize::from(sizes >> shift & 15);
        let (offset_len, length_len, base_len) = (size(12), size(8), size(4));
        let index_len = if version > 0 { size(0) } else { 0 };
        let known = [offset_len, length_len, base_len, index_len];
        if known.iter().any(|len| ![0, 4, 8].contains(len)) {
            return Ok(None);
        }
        for _ in 0..count {
            let Some((id, method, base, extents)) = (|| {
                let id = if version < 2 {
                    fields.u16()?.into()
                } else {
                    fields.u32()?
                };
                let method = if version > 0 { fields.u16()? & 15 } else { 0 };
                fields.u16()?;
                Some((id, method, fields.uint(base_len)?, fields.u16()?))
            })() else {
                return Ok(None);
            };
            // Entries without bytes would be many for few.
            if extents > 1 && offset_len + length_len == 0 {
                return Ok(None);
            }
            let item = self.items.entry(id).or_default();
            item.in_meta = method == 1;
            item.extents.clear();
            for _ in 0..extents {
                budget.charge(WORK_OF_ENTRY)?;
                let Some((offset, length)) = (|| {
                    fields.uint(index_len)?;
                    Some((fields.uint(offset_len)?, fields.uint(length_len)?))
                })() else {
                    return Ok(None);
                };
                item.extents.push((base.saturating_add(offset), length));
            }
            if method > 1 {
                item.extents.clear();
            }
        }
        Ok(Some(()))
    }

    fn read_associations(
        &mut self,
        mut fields: Fields<'_>,
        budget: &Budget<'_>,
    ) -> Result<Option<()>, ImageError> {
        let Some(((version, flags), count)) = fields.version().zip(fields.u32()) else {
            return Ok(None);
        };
        for _ in 0..count {
            let id = if version < 1 {
                fields.u16().map(u32::from)
            } else {
                fields.u32()
            };
            let Some((id, count)) = id.zip(fields.u8()) else {
                return Ok(None);
            };
            let item = self.items.entry(id).or_default();
            for _ in 0..count {
                budget.charge(WORK_OF_ENTRY)?;
                // The upper bit says that the property is essential.
                let Some((index, essential)) = (match flags & 1 {
                    0 => fields
                        .u8()
                        .map(|entry| (u16::from(entry & 0x7F), entry & 0x80 != 0)),
                    _ => fields
                        .u16()
                        .map(|entry| (entry & 0x7FFF, entry & 0x8000 != 0)),
                }) else {
                    return Ok(None);
                };
                let Some(nth) = index.checked_sub(1) else {
                    continue;
                };
                let Some(property) = self.properties.get(usize::from(nth)) else {
                    return Ok(None);
                };
                let turns = TURNING.contains(&&property.kind);
                if turns && !essential || essential && !turns && !KNOWN.contains(&&property.kind) {
                    item.is_unsupported = true;
                }
                item.properties.push(nth);
            }
        }
        Ok(Some(()))
    }

    fn read_references(
        &mut self,
        iref: &[u8],
        budget: &Budget<'_>,
    ) -> Result<Option<()>, ImageError> {
        let mut fields = Fields(iref);
        let Some((version, _)) = fields.version() else {
            return Ok(None);
        };
        let id_len = if version == 0 { 2 } else { 4 };
        for reference in Boxes(fields.0) {
            let mut fields = Fields(reference.body);
            let Some((from, count)) = fields.uint(id_len).zip(fields.u16()) else {
                return Ok(None);
            };
            let mut to = Vec::new();
            for _ in 0..count {
                budget.charge(WORK_OF_ENTRY)?;
                let Some(id) = fields.uint(id_len) else {
                    return Ok(None);
                };
                to.push(id as u32);
            }
            self.references.push((reference.kind, from as u32, to));
        }
        Ok(Some(()))
    }

    fn item(&self, id: u32) -> Result<&Item, ImageError> {
        self.items
            .get(&id)
            .ok_or_else(|| corrupt("an item that is not there"))
    }

    /// The bytes of an item.
    pub(super) fn data(&self, id: u32, budget: &Budget<'_>) -> Result<Cow<'a, [u8]>, ImageError> {
        let item = self.item(id)?;
        let source = if item.in_meta { self.idat } else { self.file };
        let part = |&(offset, len): &(u64, u64)| {
            let start = usize::try_from(offset).ok()?;
            match len {
                0 => source.get(start..),
                len => source.get(start..start.checked_add(usize::try_from(len).ok()?)?),
            }
        };
        let missing = || corrupt("an item outside the file");
        if let [extent] = item.extents.as_slice() {
            return part(extent).map(Cow::Borrowed).ok_or_else(missing);
        }
        let mut whole = Vec::new();
        for extent in &item.extents {
            let part = part(extent).ok_or_else(missing)?;
            // Parts may be the same bytes, again and again.
            if whole.len() + part.len() > source.len() {
                return Err(corrupt("an item larger than the file"));
            }
            budget.charge(part.len() as u64)?;
            whole.extend_from_slice(part);
        }
        if whole.is_empty() {
            return Err(missing());
        }
        Ok(Cow::Owned(whole))
    }

    /// Pays for looking through an item's properties.
    fn properties_of(
        &self,
        id: u32,
        budget: &Budget<'_>,
    ) -> Result<impl Iterator<Item = &IsoBox<'a>>, ImageError> {
        let indices = &self.item(id)?.properties;
        budget.charge(1 + 4 * indices.len() as u64)?;
        let property = |&index: &u16| self.properties.get(usize::from(index));
        Ok(indices.iter().filter_map(property))
    }

    fn property(
        &self,
        id: u32,
        kind: &[u8; 4],
        budget: &Budget<'_>,
    ) -> Result<Option<&'a [u8]>, ImageError> {
        let mut properties = self.properties_of(id, budget)?;
        let found = properties.find(|property| property.kind == *kind);
        Ok(found.map(|property| property.body))
    }

    pub(super) fn primary(&self) -> u32 {
        self.primary
    }

    /// What the properties of an item say.
    pub(super) fn describe(&self, id: u32, budget: &Budget<'_>) -> Result<Properties, ImageError> {
        let size = self.property(id, b"ispe", budget)?.and_then(|ispe| {
            let mut fields = Fields(ispe.get(4..)?);
            Some((fields.u32()?, fields.u32()?))
        });
        let (width, height) = size.ok_or_else(|| corrupt("an item without a size"))?;
        let operating_point = self.property(id, b"a1op", budget)?;
        let colours = self.properties_of(id, budget)?;
        let mut colours = colours.filter(|found| found.kind == *b"colr");
        Ok(Properties {
            width,
            height,
            bit_depth: bit_depth(self.property(id, b"av1C", budget)?),
            colour: colours.find_map(|colr| Colour::read(colr.body)),
            operating_point: operating_point
                .and_then(|a1op| a1op.first().copied())
                .unwrap_or(0),
        })
    }

    pub(super) fn layout(&self, id: u32, budget: &Budget<'_>) -> Result<Layout, ImageError> {
        if self.item(id)?.is_unsupported {
            return Err(unsupported(
                "an image with essential properties that are unknown",
            ));
        }
        match &self.item(id)?.kind {
            b"av01" => return Ok(Layout::Single(id)),
            b"grid" => {}
            kind => {
                let kind = kind.escape_ascii();
                return Err(unsupported(format!("an image of the kind {kind}")));
            }
        }
        let data = self.data(id, budget)?;
        let &[0, _, rows, columns, ..] = &*data else {
            return Err(corrupt("a grid that cannot be"));
        };
        let (rows, columns) = (u32::from(rows) + 1, u32::from(columns) + 1);
        let is_of_grid =
            |(kind, from, _): &&([u8; 4], u32, Vec<u32>)| kind == b"dimg" && *from == id;
        let tiles = self.references.iter().find(is_of_grid);
        let tiles = tiles.map_or_else(Vec::new, |(_, _, tiles)| tiles.clone());
        if tiles.len() != (rows * columns) as usize {
            return Err(corrupt("a grid of another number of tiles"));
        }
        if tiles.iter().any(|tile| {
            self.items
                .get(tile)
                .is_none_or(|item| item.kind != *b"av01")
        }) {
            return Err(unsupported("a grid of what is not an AV1 image"));
        }
        Ok(Layout::Grid {
            rows,
            columns,
            tiles,
        })
    }

    /// The item that holds the alpha of another.
    pub(super) fn alpha_of(&self, id: u32, budget: &Budget<'_>) -> Result<Option<u32>, ImageError> {
        const ALPHA: [&[u8]; 2] = [
            b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
            b"urn:mpeg:hevc:2015:auxid:1",
        ];
        for (kind, from, to) in &self.references {
            if kind != b"auxl" || !to.contains(&id) || !self.items.contains_key(from) {
                continue;
            }
            let auxiliary = self.property(*from, b"auxC", budget)?;
            let name = auxiliary.and_then(|auxiliary| auxiliary.get(4..));
            let name = name.and_then(|name| name.split(|&byte| byte == 0).next());
            if name.is_some_and(|name| ALPHA.contains(&name)) {
                return Ok(Some(*from));
            }
        }
        Ok(None)
    }

    /// Whether the colours are multiplied by alpha already.
    pub(super) fn is_premultiplied(&self, id: u32, alpha: u32) -> bool {
        let mut references = self.references.iter();
        references.any(|(kind, from, to)| kind == b"prem" && *from == id && to.contains(&alpha))
    }

    /// The EXIF block that describes an item.
    pub(super) fn exif_of(&self, id: u32, budget: &Budget<'_>) -> Option<Cow<'a, [u8]>> {
        let is_exif = |id: &u32| self.items.get(id).is_some_and(|item| item.kind == *b"Exif");
        let mut references = self.references.iter();
        let (_, exif, _) = references
            .find(|(kind, from, to)| kind == b"cdsc" && to.contains(&id) && is_exif(from))?;
        let exif = *exif;
        match self.data(exif, budget).ok()? {
            Cow::Borrowed(data) => data.get(4..).map(Cow::Borrowed),
            Cow::Owned(data) => data.get(4..).map(|data| Cow::Owned(data.to_vec())),
        }
    }
}

fn primary(pitm: &[u8]) -> Option<u32> {
    let mut fields = Fields(pitm);
    match fields.version()?.0 {
        0 => fields.u16().map(u32::from),
        _ => fields.u32(),
    }
}
