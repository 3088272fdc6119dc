//! An owned element tree: small, bounded, and able to take one file's elements into another's.

use super::RobotError;
use std::rc::Rc;

/// Nesting above this is refused: far more than any robot needs, and shallow enough that the
/// readers may walk the tree recursively on a 2 MiB thread stack.
pub(super) const MAX_DEPTH: usize = 256;

/// XML nodes in one file; keeps a hostile file from costing gigabytes.
const MAX_NODES: u32 = 1_000_000;

/// One XML element, with the place it came from.
#[derive(Debug)]
pub(super) struct Element {
    pub tag: String,
    pub children: Vec<Element>,
    attributes: Vec<(String, String)>,
    file: Rc<str>,
    line: usize,
}

impl Element {
    /// The root element of `text`; `file` only names it in messages.
    pub fn parse(text: &str, file: &str) -> Result<Self, RobotError> {
        let options = roxmltree::ParsingOptions { nodes_limit: MAX_NODES, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(text, options).map_err(|e| {
            RobotError::Syntax { file: file.into(), problem: format!("not well-formed XML: {e}") }
        })?;
        let mut lines = Lines { text, offset: 0, line: 1 };
        Self::build(document.root_element(), &file.into(), &mut lines, 0)
    }

    fn build(
        node: roxmltree::Node,
        file: &Rc<str>,
        lines: &mut Lines,
        depth: usize,
    ) -> Result<Self, RobotError> {
        let tag = node.tag_name();
        let xacro = tag.namespace().is_some_and(|uri| uri.contains("xacro"));
        let mut element = Self {
            tag: format!("{}{}", if xacro { "xacro:" } else { "" }, tag.name()),
            children: Vec::new(),
            attributes: node.attributes().map(|a| (a.name().into(), a.value().into())).collect(),
            file: file.clone(),
            line: lines.at(node.range().start),
        };
        element.check_depth(depth)?;
        for child in node.children().filter(|n| n.is_element()) {
            element.children.push(Self::build(child, file, lines, depth + 1)?);
        }
        Ok(element)
    }

    /// Refuses an element that lies too deep.
    pub fn check_depth(&self, depth: usize) -> Result<(), RobotError> {
        match depth < MAX_DEPTH {
            true => Ok(()),
            false => Err(self.error(format!("elements are nested more than {MAX_DEPTH} deep"))),
        }
    }

    /// This root element, if it is a `<tag>`.
    pub fn expect_tag(self, tag: &str) -> Result<Self, RobotError> {
        match self.tag == tag {
            true => Ok(self),
            false => Err(self.error(format!("expected the root element <{tag}>"))),
        }
    }

    /// The children that are `<tag>`s, in document order.
    pub fn all<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.tag == tag)
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn required(&self, name: &str) -> Result<&str, RobotError> {
        self.attribute(name).ok_or_else(|| self.error(format!("attribute {name:?} is missing")))
    }

    /// The attribute as one finite number.
    pub fn number(&self, name: &str) -> Result<Option<f64>, RobotError> {
        let Some(text) = self.attribute(name) else { return Ok(None) };
        let [number] = self.numbers_in(name, text)?;
        Ok(Some(number))
    }

    /// Exactly `K` finite numbers in `text`, the value of attribute `name`.
    pub fn numbers_in<const K: usize>(&self, name: &str, text: &str) -> Result<[f64; K], RobotError> {
        let numbers = self.list_in(name, text)?;
        <[f64; K]>::try_from(numbers.as_slice())
            .map_err(|_| self.error(format!("{name}={text:?} holds {} numbers; expected {K}", numbers.len())))
    }

    /// The finite numbers in `text`, the value of attribute `name`.
    pub fn list_in(&self, name: &str, text: &str) -> Result<Vec<f64>, RobotError> {
        let number = |word: &str| word.parse().ok().filter(|number: &f64| number.is_finite());
        let numbers: Option<Vec<f64>> = text.split_whitespace().map(number).collect();
        numbers.ok_or_else(|| {
            let remedy = if text.contains("${") { "; run xacro on the file first" } else { "" };
            self.error(format!("{name}={text:?} is not made of finite numbers{remedy}"))
        })
    }

    /// An error about this element.
    pub fn error(&self, problem: impl Into<String>) -> RobotError {
        let name = self.attribute("name").map(|name| format!(" name={name:?}"));
        RobotError::Element {
            place: format!("{}:{} <{}{}>", self.file, self.line, self.tag, name.unwrap_or_default()),
            problem: problem.into(),
        }
    }
}

/// Counts lines in one pass; asking the parser per element would cost the square of the file.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of a byte offset, which must not lie before the last one asked for.
    fn at(&mut self, offset: usize) -> usize {
        let passed = &self.text.as_bytes()[self.offset..offset];
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count();
        self.offset = offset;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_file_line_and_element() {
        let root = Element::parse("<a>\n <b/>\n <c name='x' v='1 nan'/></a>", "f.xml").unwrap();
        let c = &root.children[1];
        assert_eq!(
            c.list_in("v", c.attribute("v").unwrap()).unwrap_err().to_string(),
            "f.xml:3 <c name=\"x\">: v=\"1 nan\" is not made of finite numbers"
        );
    }

    #[test]
    fn deep_nesting_is_refused_not_fatal() {
        for depth in [MAX_DEPTH + 1, 10_000, 200_000] {
            let text = "<a>".repeat(depth) + &"</a>".repeat(depth);
            let error = Element::parse(&text, "f.xml").unwrap_err().to_string();
            assert!(error.contains("deep"), "{error}");
        }
        let text = "<a>".repeat(MAX_DEPTH) + &"</a>".repeat(MAX_DEPTH);
        Element::parse(&text, "f.xml").unwrap();
    }

    #[test]
    fn entity_bombs_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY x 'xxxx'><!ENTITY y '&x;&x;&x;'>]><a>&y;</a>";
        assert!(matches!(Element::parse(bomb, "f.xml"), Err(RobotError::Syntax { .. })));
    }
}
