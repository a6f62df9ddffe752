//! Nodes whose contents lie in members of their own: arrays, matrices, bytes.

use super::error::Problem;
use super::json::{Json, Map};
use super::nodes::{Reader, Step, list_of, text_of};
use super::npy;
use super::zip::Archive;
use crate::formats::pickle::NodeId;
use crate::formats::pickle::build::{Builder, Instance};
use crate::limits;

/// What a member is read as. Nodes that name the same member share the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Array,
    Matrix,
    Bytes,
}

impl<'a> Reader<'a> {
    /// An array or a scalar of numpy's.
    pub(super) fn array(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let (module, name) = self.class(node)?;
        if module != "numpy" && !module.starts_with("numpy.") {
            let found = format!("{module}.{name}");
            return Err(Problem::unexpected("one of numpy's arrays or scalars", found));
        }
        match text_of(node, "type")? {
            "numpy" => self.part(Kind::Array, text_of(node, "file")?),
            "json" => self.objects(node),
            other => Err(Problem::unexpected("an array of type 'numpy' or 'json'", format!("'{other}'"))),
        }
    }

    /// A numpy dtype, which is kept as an array of it without elements.
    pub(super) fn dtype(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let array = self.field(node, "content")?;
        match self.build.dtype_of(array) {
            Some(dtype) => Ok(self.build.dtype(dtype)?),
            None => Err(Problem::unexpected("an array of a dtype", "something else")),
        }
    }

    /// A sparse matrix of scipy's, which is kept as scipy's own archive: the instance
    /// that its pickle describes.
    pub(super) fn sparse(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let (module, name) = self.class(node)?;
        if !module.starts_with("scipy.sparse") {
            let found = format!("{module}.{name}");
            return Err(Problem::unexpected("one of scipy's sparse matrices", found));
        }
        let state = self.part(Kind::Matrix, text_of(node, "file")?)?;
        Ok(self.build.object(module, name, &Instance { state: Some(state), ..Instance::default() })?)
    }

    pub(super) fn bytes(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        self.part(Kind::Bytes, text_of(node, "file")?)
    }

    fn part(&mut self, kind: Kind, file: &'a str) -> Result<NodeId, Problem> {
        if let Some(&known) = self.parts.get(&(kind, file)) {
            return Ok(known);
        }
        let bytes = self.archive.read(file, self.room)?;
        let id = match kind {
            Kind::Array => {
                let npy = npy::read(&bytes)?;
                self.build.array(npy.dtype, &npy.shape, npy.fortran, npy.data)?
            }
            Kind::Matrix => self.matrix(&Archive::open(bytes, limits::SKOPS_NPZ_MEMBERS_MAX)?)?,
            Kind::Bytes => self.build.bytes(bytes)?,
        };
        self.parts.insert((kind, file), id);
        Ok(id)
    }

    /// The attributes of a sparse matrix. Source: `scipy.sparse.save_npz`.
    fn matrix(&mut self, archive: &Archive) -> Result<NodeId, Problem> {
        let mut entries = Vec::new();
        for name in ["data", "indices", "indptr", "row", "col", "offsets"] {
            let member = format!("{name}.npy");
            if archive.has(&member) {
                let npy = npy::read(&archive.read(&member, self.room)?)?;
                entries.push(self.build.text(name)?);
                entries.push(self.build.array(npy.dtype, &npy.shape, npy.fortran, npy.data)?);
            }
        }
        let shape = npy::read(&archive.read("shape.npy", self.room)?)?;
        let sizes = (shape.shape.len() == 1).then(|| shape.sizes()).flatten();
        let Some(sizes) = sizes.filter(|sizes| sizes.len() <= limits::PICKLE_ARRAY_RANK_MAX) else {
            return Err(Problem::unexpected("the shape of a sparse matrix", "something else"));
        };
        let sizes: Result<Vec<NodeId>, _> = sizes.into_iter().map(|size| self.build.int(size)).collect();
        entries.push(self.build.text("_shape")?);
        entries.push(self.build.tuple(&sizes?)?);
        Ok(self.build.dict(&entries)?)
    }

    /// An array of objects: a list of nodes, of lists of nodes where there are more dimensions.
    fn objects(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let shape = match node.get("shape") {
            Some(Json::Map(shape)) => list_of(shape, "content")?,
            _ => return Err(Problem::unexpected("the shape of an array of objects", "none")),
        };
        let dim = |dim: &Json<'_>| match dim {
            Json::Map(dim) => text_of(dim, "content").ok()?.parse::<usize>().ok(),
            _ => None,
        };
        let shape: Option<Vec<usize>> = shape.iter().map(dim).collect();
        let shape = shape.filter(|shape| (1..=limits::PICKLE_ARRAY_RANK_MAX).contains(&shape.len()));
        let Some(shape) = shape else {
            return Err(Problem::unexpected("the shape of an array of objects", "something else"));
        };
        let mut objects = Vec::new();
        self.elements(node, &shape, &mut objects)?;
        Ok(self.build.objects(&shape, &objects)?)
    }

    fn elements(
        &mut self,
        node: &'a Map<'a>,
        shape: &[usize],
        objects: &mut Vec<NodeId>,
    ) -> Result<(), Problem> {
        let items = list_of(node, "content")?;
        let [len, inner @ ..] = shape else { return Ok(()) };
        if items.len() != *len {
            return Err(Problem::unexpected(format!("{len} objects"), format!("{} of them", items.len())));
        }
        for (i, item) in items.iter().enumerate() {
            self.enter(Step::Index(i));
            match (inner, item) {
                ([], item) => objects.push(self.node(item)?),
                (_, Json::Map(row)) => self.elements(row, inner, objects)?,
                (_, other) => return Err(Problem::unexpected("a list of objects", other.describe())),
            }
            self.leave();
        }
        Ok(())
    }

    /// A masked array: data and mask are its arguments.
    pub(super) fn masked(&mut self, node: &'a Map<'a>) -> Result<NodeId, Problem> {
        let (module, name) = self.class(node)?;
        let Some(Json::Map(content)) = node.get("content") else {
            return Err(Problem::unexpected("data and a mask", "neither"));
        };
        let args = [self.field(content, "data")?, self.field(content, "mask")?];
        Ok(self.build.object(module, name, &Instance { args: &args, ..Instance::default() })?)
    }
}

impl npy::Npy {
    /// The elements, which are sizes.
    fn sizes(&self) -> Option<Vec<i64>> {
        if !self.dtype.is_integer() || self.data.len() > 8 * limits::PICKLE_ARRAY_RANK_MAX {
            return None;
        }
        let mut scratch = Builder::new(self.data.len());
        let id = scratch.array(self.dtype.clone(), &self.shape, self.fortran, self.data.clone()).ok()?;
        scratch.finish(id).root().array()?.to_i64().ok()
    }
}
