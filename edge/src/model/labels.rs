//! The labels of a detector's classes: COCO's, or those of a file beside the model.

use edge_core::event::LABEL_BYTES;
use edge_core::labels;

/// One label a class.
pub(super) type Labels = Box<[Box<str>]>;

/// COCO's.
pub(super) fn built_in(classes: u8) -> Labels {
    (0..classes).map(|class| labels::coco(class).map_or_else(|| number(class), Box::from)).collect()
}

/// One label a line, in the order of the classes (`???` and an empty line: a hole), or `17 cat`
/// on every line.
pub(super) fn parse(bytes: &[u8], classes: usize) -> Result<Labels, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not a text file".to_owned())?;
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim).collect();
    let pairs: Vec<(usize, &str)> = match lines.iter().map(|line| numbered(line)).collect() {
        Some(pairs) => pairs,
        None => lines.into_iter().enumerate().collect(),
    };
    let mut labels: Labels = (0..=u8::MAX).take(classes).map(number).collect();
    let mut any = false;
    for (class, label) in pairs {
        if label.is_empty() || label == "???" {
            continue;
        }
        if label.len() > LABEL_BYTES || label.chars().any(char::is_control) {
            return Err(format!("the label of class {class} is not a word of {LABEL_BYTES} bytes"));
        }
        let slot = labels
            .get_mut(class)
            .ok_or_else(|| format!("has a class {class}, the model has {classes} classes"))?;
        *slot = label.into();
        any = true;
    }
    if any { Ok(labels) } else { Err("has no labels".into()) }
}

fn numbered(line: &str) -> Option<(usize, &str)> {
    let (class, label) = line.split_once(char::is_whitespace)?;
    Some((class.parse().ok()?, label.trim()))
}

fn number(class: u8) -> Box<str> {
    format!("class {class}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_by_line_and_by_number() {
        let by_line = parse(b"person\nbicycle\n???\ncar\n", 5).expect("labels");
        assert_eq!(&*by_line[3], "car");
        assert_eq!((&*by_line[2], &*by_line[4]), ("class 2", "class 4"));
        let by_number = parse(b"0  person\n 3  traffic light\n", 5).expect("labels");
        assert_eq!((&*by_number[0], &*by_number[3]), ("person", "traffic light"));
    }

    #[test]
    fn what_is_no_list_of_labels_is_refused() {
        for (bytes, expect) in [
            (&b"\xff\xfe\x00"[..], "is not a text file"),
            (b"", "has no labels"),
            (b"a\nb\nc", "has a class 2, the model has 2 classes"),
            (b"a\na label that goes on and on", "the label of class 1 is not a word of 24 bytes"),
        ] {
            assert_eq!(parse(bytes, 2), Err(expect.to_owned()));
        }
    }
}
