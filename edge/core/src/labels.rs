//! The names of what the COCO detectors know, and people's words for them.

/// The label and its word, by class; `None` where COCO's numbering has a hole.
type Entry = Option<(&'static str, &'static str)>;

/// Classes of COCO's numbering, holes included.
pub const CLASSES: usize = 90;

/// What a household wants to hear of.
const HOUSEHOLD: [&str; 9] =
    ["person", "bicycle", "car", "motorcycle", "bus", "truck", "bird", "cat", "dog"];

/// Labels that no detector gives.
const OWN: [(&str, &str); 3] =
    [("motion", "Motion"), ("camera_lost", "Camera lost"), ("camera_back", "Camera back")];

#[rustfmt::skip]
const COCO: [Entry; CLASSES] = [
    Some(("person", "Person")), Some(("bicycle", "Bicycle")), Some(("car", "Car")),
    Some(("motorcycle", "Motorcycle")), Some(("airplane", "Airplane")), Some(("bus", "Bus")),
    Some(("train", "Train")), Some(("truck", "Truck")), Some(("boat", "Boat")),
    Some(("traffic light", "Traffic light")), Some(("fire hydrant", "Fire hydrant")), None,
    Some(("stop sign", "Stop sign")), Some(("parking meter", "Parking meter")),
    Some(("bench", "Bench")), Some(("bird", "Bird")), Some(("cat", "Cat")), Some(("dog", "Dog")),
    Some(("horse", "Horse")), Some(("sheep", "Sheep")), Some(("cow", "Cow")),
    Some(("elephant", "Elephant")), Some(("bear", "Bear")), Some(("zebra", "Zebra")),
    Some(("giraffe", "Giraffe")), None, Some(("backpack", "Backpack")),
    Some(("umbrella", "Umbrella")), None, None, Some(("handbag", "Handbag")),
    Some(("tie", "Tie")), Some(("suitcase", "Suitcase")), Some(("frisbee", "Frisbee")),
    Some(("skis", "Skis")), Some(("snowboard", "Snowboard")),
    Some(("sports ball", "Sports ball")), Some(("kite", "Kite")),
    Some(("baseball bat", "Baseball bat")), Some(("baseball glove", "Baseball glove")),
    Some(("skateboard", "Skateboard")), Some(("surfboard", "Surfboard")),
    Some(("tennis racket", "Tennis racket")), Some(("bottle", "Bottle")), None,
    Some(("wine glass", "Wine glass")), Some(("cup", "Cup")), Some(("fork", "Fork")),
    Some(("knife", "Knife")), Some(("spoon", "Spoon")), Some(("bowl", "Bowl")),
    Some(("banana", "Banana")), Some(("apple", "Apple")), Some(("sandwich", "Sandwich")),
    Some(("orange", "Orange")), Some(("broccoli", "Broccoli")), Some(("carrot", "Carrot")),
    Some(("hot dog", "Hot dog")), Some(("pizza", "Pizza")), Some(("donut", "Donut")),
    Some(("cake", "Cake")), Some(("chair", "Chair")), Some(("couch", "Couch")),
    Some(("potted plant", "Potted plant")), Some(("bed", "Bed")), None,
    Some(("dining table", "Dining table")), None, None, Some(("toilet", "Toilet")), None,
    Some(("tv", "Television")), Some(("laptop", "Laptop")), Some(("mouse", "Mouse")),
    Some(("remote", "Remote control")), Some(("keyboard", "Keyboard")),
    Some(("cell phone", "Phone")), Some(("microwave", "Microwave")), Some(("oven", "Oven")),
    Some(("toaster", "Toaster")), Some(("sink", "Sink")), Some(("refrigerator", "Refrigerator")),
    None, Some(("book", "Book")), Some(("clock", "Clock")), Some(("vase", "Vase")),
    Some(("scissors", "Scissors")), Some(("teddy bear", "Teddy bear")),
    Some(("hair drier", "Hair dryer")), Some(("toothbrush", "Toothbrush")),
];

/// The label of a class of COCO's numbering, 0-based; `None` for a hole and beyond the end.
pub fn coco(class: u8) -> Option<&'static str> {
    Some(COCO.get(usize::from(class))?.as_ref()?.0)
}

/// Whether events are made of this label without being asked for.
pub fn household(label: &str) -> bool {
    HOUSEHOLD.contains(&label)
}

/// People's word for a label; `Something` for one that is not known here.
pub fn words(label: &str) -> &'static str {
    let known = COCO.iter().flatten().chain(&OWN).find(|(name, _)| *name == label);
    known.map_or("Something", |(_, words)| words)
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
    fn the_household_is_known_and_has_words() {
        for label in HOUSEHOLD {
            assert!((0..90).any(|class| coco(class) == Some(label)), "{label}");
            assert!(household(label));
            assert!(words(label).eq_ignore_ascii_case(label));
        }
        assert!(!household("broccoli"));
        assert_eq!(words("motion"), "Motion");
        assert_eq!(words("gnu"), "Something");
    }
}
