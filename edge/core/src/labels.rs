//! The names of what the COCO detectors know, and which of them a household wants to hear of.

/// The label of a class; `None` where COCO's numbering has a hole.
type Entry = Option<&'static str>;

/// Classes of COCO's numbering, holes included.
pub const CLASSES: usize = 90;

/// What a household wants to hear of.
const HOUSEHOLD: [&str; 9] =
    ["person", "bicycle", "car", "motorcycle", "bus", "truck", "bird", "cat", "dog"];

#[rustfmt::skip]
const COCO: [Entry; CLASSES] = [
    Some("person"), Some("bicycle"), Some("car"), Some("motorcycle"), Some("airplane"),
    Some("bus"), Some("train"), Some("truck"), Some("boat"), Some("traffic light"),
    Some("fire hydrant"), None, Some("stop sign"), Some("parking meter"), Some("bench"),
    Some("bird"), Some("cat"), Some("dog"), Some("horse"), Some("sheep"), Some("cow"),
    Some("elephant"), Some("bear"), Some("zebra"), Some("giraffe"), None, Some("backpack"),
    Some("umbrella"), None, None, Some("handbag"), Some("tie"), Some("suitcase"), Some("frisbee"),
    Some("skis"), Some("snowboard"), Some("sports ball"), Some("kite"), Some("baseball bat"),
    Some("baseball glove"), Some("skateboard"), Some("surfboard"), Some("tennis racket"),
    Some("bottle"), None, Some("wine glass"), Some("cup"), Some("fork"), Some("knife"),
    Some("spoon"), Some("bowl"), Some("banana"), Some("apple"), Some("sandwich"), Some("orange"),
    Some("broccoli"), Some("carrot"), Some("hot dog"), Some("pizza"), Some("donut"), Some("cake"),
    Some("chair"), Some("couch"), Some("potted plant"), Some("bed"), None, Some("dining table"),
    None, None, Some("toilet"), None, Some("tv"), Some("laptop"), Some("mouse"), Some("remote"),
    Some("keyboard"), Some("cell phone"), Some("microwave"), Some("oven"), Some("toaster"),
    Some("sink"), Some("refrigerator"), None, Some("book"), Some("clock"), Some("vase"),
    Some("scissors"), Some("teddy bear"), Some("hair drier"), Some("toothbrush"),
];

/// The label of a class of COCO's numbering, 0-based; `None` for a hole and beyond the end.
pub fn coco(class: u8) -> Option<&'static str> {
    *COCO.get(usize::from(class))?
}

/// Whether events are made of this label without being asked for.
pub fn household(label: &str) -> bool {
    HOUSEHOLD.contains(&label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_their_coco_numbers() {
        for (class, label) in [
            (0, Some("person")),
            (2, Some("car")),
            (7, Some("truck")),
            (11, None),
            (15, Some("bird")),
            (55, Some("broccoli")),
            (83, Some("book")),
            (89, Some("toothbrush")),
            (90, None),
        ] {
            assert_eq!(coco(class), label, "{class}");
        }
    }

    #[test]
    fn the_household_is_known() {
        for label in HOUSEHOLD {
            assert!((0..90).any(|class| coco(class) == Some(label)), "{label}");
            assert!(household(label));
        }
        assert!(!household("broccoli"));
    }
}
