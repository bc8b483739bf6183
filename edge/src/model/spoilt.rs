//! What is not as it should be in a file is named, and no file brings the loader down.

use super::tiny::{File, Operator, Tensor};
use super::{Kind, Model, Network, target};
use std::path::Path;
use std::sync::Arc;
use tract_tflite::tflite::{ActivationFunctionType, BuiltinOperator as Op, TensorType};

type Spoil = fn(&mut File);

#[test]
fn a_sound_file_runs() {
    let model = Model::from_bytes(Path::new("m"), &File::sound().bytes()).expect("sound");
    let mut detector = Arc::new(model).detector();
    let (input, width, height) = detector.input();
    assert_eq!((input.len(), width, height), (48, 4, 4));
    input.fill(200);
    detector.detect();
    assert_eq!((detector.heads(), detector.head(0).len(), detector.head(1).len()), (2, 128, 96));
}

fn all_are_refused(table: &[(Spoil, &str)]) {
    for (spoil, words) in table {
        let mut file = File::sound();
        spoil(&mut file);
        let refusal = file.refusal();
        assert!(refusal.starts_with("m: ") && refusal.contains(words), "{words}: {refusal}");
        assert_eq!(refusal.lines().count(), 1);
    }
}

#[test]
fn an_operator_in_the_way_is_named() {
    all_are_refused(&[
        (|f| f.operators[0].code = Op::ADD, "operator ADD (tensor 'trunk'): it has another number"),
        (|f| f.operators[1].code = Op::ABS, "operator ABS (tensor 'boxes') is not supported"),
        (|f| f.operators[0].code = Op::WHILE, "operator WHILE (tensor 'trunk') is not supported"),
        (|f| f.operators[0].dilation = -1, "(tensor 'trunk'): kernel, stride and input do not"),
        (|f| f.operators[0].stride = 2, "comes to [1, 2, 2, 8], the file says [1, 4, 4, 8]"),
        (|f| f.operators[0].stride = -1, "(tensor 'trunk'): kernel, stride and input do not fit"),
        (
            |f| f.operators[0].activation = ActivationFunctionType::TANH,
            "operator CONV_2D (tensor 'trunk'): activation TANH is not supported",
        ),
        (|f| f.operators[0].output = 6, "operator CONV_2D (tensor 'boxes'): "),
        (|f| f.operators[5].axis = 7, "operator CONCATENATION (tensor 'boxes/concat'): names axis"),
        (|f| f.operators[9].code = Op::SOFTMAX, "it ends in operator SOFTMAX"),
        (|f| f.operators[8].code = Op::TANH, "operator TANH (tensor 'scores') is not supported"),
        (
            |f| f.operators[3].code = Op::TRANSPOSE,
            "operator TRANSPOSE (tensor 'boxes/reshape'): has no input 1",
        ),
    ]);
}

#[test]
fn a_graph_that_is_none_is_refused() {
    all_are_refused(&[
        (|f| f.subgraphs = 2, "has 2 subgraphs, one is expected"),
        (|f| f.subgraphs = 0, "has no graph"),
        (|f| f.operators.clear(), "has no operators"),
        (|f| f.inputs.clear(), "reads 'input' before it is written"),
        (|f| f.inputs[0] = -1, "its list of inputs names no tensor"),
        (|f| f.inputs.push(0), "its input 'input' is there already"),
        (|f| f.inputs[0] = 1, "its input 'trunk/weights' is there already"),
        (|f| f.operators[0].inputs[0] = 77, "operator CONV_2D names tensor 77, there are 18"),
        (|f| f.operators[0].inputs = vec![0; 65], "operator CONV_2D has more than 64 tensors"),
        (|f| f.operators[0].inputs[0] = -1, "(tensor 'trunk'): has no input 0"),
        (|f| f.operators[3].inputs[0] = 10, "reads 'boxes/reshape' before it is written"),
        (|f| f.operators.swap(0, 2), "reads 'trunk' before it is written"),
        (|f| f.operators[1].output = 3, "(tensor 'trunk'): writes 'trunk', which is there"),
        (|f| f.operators[1].output = 0, "(tensor 'input'): writes 'input', which is there"),
        (|f| f.operators[1].output = 16, "(tensor 'anchors'): writes 'anchors', which is there"),
    ]);
}

#[test]
fn a_tensor_in_the_way_is_named() {
    all_are_refused(&[
        (
            |f| f.tensor("trunk").type_ = TensorType::INT8,
            "operator CONV_2D (tensor 'trunk'): elements of this type are not supported there",
        ),
        (
            |f| f.tensor("trunk").type_ = TensorType::STRING,
            "operator CONV_2D (tensor 'trunk'): tensor 'trunk' is STRING",
        ),
        (
            |f| f.tensor("trunk").type_ = TensorType::INT16,
            "operator CONV_2D (tensor 'trunk'): tensor 'trunk' is INT16, which is not supported",
        ),
        (|f| f.tensor("trunk").scales.push(1.0), "tensor 'trunk' has 2 scales and 2 zero points"),
        (|f| f.tensor("trunk").scales.clear(), "'trunk' has no scale and zero point of its own"),
        (|f| f.tensor("trunk").scales[0] = 0.0, "tensor 'trunk' has scale 0 and zero point 100"),
        (|f| f.tensor("trunk").scales[0] = f32::NAN, "tensor 'trunk' has scale NaN and"),
        (|f| f.tensor("trunk").zero_point = 256, "scale 0.05 and zero point 256"),
        (|f| f.tensor("trunk").zero_point = i64::MIN, "zero point -9223372036854775808"),
        (|f| f.tensor("trunk").sides[1] = -1, "tensor 'trunk' is [1, -1, 4, 8]: its sides are not"),
        (|f| f.tensor("trunk").sides[1] = i32::MAX, "tensor 'trunk' is too large"),
        (|f| f.tensor("trunk").sides = vec![1; 9], "its sides are not known"),
        (|f| f.tensor("trunk").sides[0] = 2, "comes to [1, 4, 4, 8], the file says [2, 4, 4, 8]"),
        (|f| f.tensor("trunk").variable = true, "tensor 'trunk' keeps a state from one run to"),
        (|f| f.tensor("trunk").buffer = Some(99), "tensor 'trunk' is in a buffer that is missing"),
        (|f| f.tensor("trunk/weights").data.truncate(9), "does not hold 24 values"),
        (|f| f.tensor("trunk/weights").outside = true, "'trunk/weights' lies behind the file's"),
        (|f| f.tensor("trunk/weights").type_ = TensorType::INT8, "INT8, UINT8 is expected"),
        (|f| f.tensor("trunk/weights").scales = vec![1.0; 8], "another number of scales than of"),
        (|f| f.tensor("trunk/weights").scales = vec![1.0; 9], "has 9 scales and 9 zero points"),
        (|f| f.tensor("trunk/weights").zero_point = -1, "has a zero point out of range"),
        (|f| f.tensor("trunk/weights").sides = vec![8, 3], "is [8, 3], 4 sides are expected"),
        (|f| f.tensor("trunk/weights").sides = vec![6, 2, 2, 1], "for 1 channels, its input has 3"),
        (|f| f.tensor("trunk/bias").type_ = TensorType::FLOAT32, "FLOAT32, INT32 is expected"),
        (
            |f| f.tensor("trunk/bias").data = [255, 255, 255, 127].repeat(8),
            "the sums could leave 32 bits",
        ),
        (|f| f.tensor("input").sides[3] = 4, "has weights for 3 channels, its input has 4"),
        (|f| f.tensor("input").type_ = TensorType::INT32, "elements of this type are not"),
        (|f| f.tensor("boxes/reshape").sides[1] = 31, "makes [1, 31, 1, 4] of [1, 4, 4, 8]"),
        (
            |f| {
                f.operators[0].code = Op::WHILE;
                f.tensor("trunk").name = "two\nlines\r\u{1b}[2J";
            },
            r"operator WHILE (tensor 'two\nlines\r\u{1b}[2J') is not supported",
        ),
    ]);
}

#[test]
fn post_processing_in_the_way_is_named() {
    all_are_refused(&[
        (|f| f.tensor("anchors").sides[0] = 31, "'anchors' does not hold 124 values"),
        (|f| f.tensor("anchors").data.truncate(124), "'anchors' does not hold 128 values"),
        (|f| f.tensor("anchors").sides = vec![128], "is [128], 2 sides are expected"),
        (|f| f.tensor("scores").sides[1] = 31, "reads [1, 32, 4] and [1, 31, 3], which do not"),
        (|f| *f.option("num_classes") = 7.0, "has 3 columns of classes for 7 classes"),
        (|f| *f.option("num_classes") = 0.0, "has more than 255 classes, or none"),
        (|f| *f.option("y_scale") = f32::NAN, "has no usable option y_scale"),
        (|f| *f.option("y_scale") = 0.0, "has a scale of 0"),
        (|f| *f.option("max_detections") = 0.0, "has max_detections 0, at least 1 is expected"),
        (|f| f.options.clear(), "has no usable option y_scale"),
    ]);
}

/// What differs between the head and the post-processing is computed, not refused.
#[test]
fn heads_are_found_where_they_can_be() {
    let heads: [(Spoil, [&str; 2]); 5] = [
        (|_| {}, ["boxes", "classes"]),
        (|f| f.operators[8].code = Op::RELU6, ["boxes", "classes"]),
        // Other scales: bytes are taken as they are.
        (|f| f.tensor("boxes/reshape").scales[0] = 0.5, ["boxes/reshape", "classes"]),
        (|f| f.operators[5].axis = 2, ["boxes/concat", "classes"]),
        (|f| f.operators[8].code = Op::SOFTMAX, ["boxes", "scores"]),
    ];
    for (spoil, expect) in heads {
        let mut file = File::sound();
        spoil(&mut file);
        let bytes = file.bytes();
        let graph = super::graph::Graph::read(&bytes).expect("a graph");
        let end = super::detector::end(&graph).expect("a detector's");
        let names: Vec<_> = end.outputs.iter().map(|output| graph.name(*output)).collect();
        assert_eq!(names, expect);
    }
}

/// However many operators a hostile file puts between a head and the post-processing.
#[test]
fn the_way_back_to_the_heads_is_bounded() {
    for code in [Op::CONCATENATION, Op::RELU6] {
        let mut file = File::sound();
        let post = file.operators.pop().expect("the post-processing");
        let step = Operator { code, ..file.operators[6].clone() };
        let mut last = 15;
        for _ in 0..1000 {
            let output = i32::try_from(file.tensors.len()).expect("few");
            file.tensors.push(Tensor { name: "step", ..file.tensors[15].clone() });
            file.operators.push(Operator { inputs: vec![last], output, ..step.clone() });
            last = output;
        }
        let inputs = vec![14, last, 16];
        file.operators.push(Operator { inputs, ..post });
        let model = Model::from_bytes(Path::new("m"), &file.bytes());
        let model = model.unwrap_or_else(|error| panic!("{code:?}: {error}"));
        Arc::new(model).detector().detect();
    }
}

#[test]
fn a_file_cut_anywhere_or_with_any_byte_changed_is_read_or_refused() {
    let whole = File::sound().bytes();
    let mut counts = [0; 3];
    let mut read = |bytes: &[u8]| match Model::from_bytes(Path::new("m"), bytes) {
        Ok(model) => {
            counts[0] += 1;
            Arc::new(model).detector().detect();
        }
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
            counts[if error.kind == Kind::NotTflite { 1 } else { 2 }] += 1;
        }
    };
    for length in 0..whole.len() {
        read(&whole[..length]);
    }
    for at in 0..whole.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            read(&bytes);
        }
    }
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
}

#[test]
fn a_graph_without_post_processing_is_a_network() {
    let mut file = File::sound();
    file.operators.pop();
    file.outputs = vec![14, 15];
    let refusal = file.refusal();
    assert!(refusal.contains("is no SSD detector: it ends in operator LOGISTIC"), "{refusal}");
    let network = Network::from_bytes(target(2), Path::new("m"), &file.bytes()).expect("sound");
    assert!(network.to_string().ends_with("2 threads, 0.0 MB arena, 0.0 MB weights"), "{network}");
    let mut arena = Arc::new(network).arena();
    assert!(arena.write(0, &[200; 48]) && !arena.write(0, &[200; 47]) && !arena.write(1, &[]));
    arena.run();
    assert_eq!((arena.read(0).len(), arena.read(1).len()), (128, 96));
}

#[test]
fn weights_that_many_operators_share_do_not_grow_beyond_the_file() {
    let mut file = File::sound();
    file.tensor("input").sides = vec![1, 1, 1, 512];
    let weights = file.tensor("trunk/weights");
    weights.sides = vec![512, 1, 1, 512];
    weights.data = (0..=u8::MAX).cycle().take(512 * 512).collect();
    let bias = file.tensor("trunk/bias");
    (bias.sides, bias.data) = (vec![512], vec![0; 512 * 4]);
    let first = file.operators[0].clone();
    file.operators.clear();
    for at in 0..20 {
        let output = i32::try_from(file.tensors.len()).expect("few");
        let form = Tensor { sides: vec![1, 1, 1, 512], ..file.tensors[3].clone() };
        file.tensors.push(form);
        let before = if at == 0 { 0 } else { output - 1 };
        let inputs = vec![before, 1, 2];
        file.operators.push(Operator { inputs, output, ..first.clone() });
        file.outputs = vec![output];
        let read = Network::from_bytes(target(1), Path::new("m"), &file.bytes());
        if at < 3 {
            let network = read.expect("some may share");
            assert!(network.weight_bytes() > 512 * 512 * (at + 1), "{network}");
        } else if let Err(error) = read {
            assert!(error.to_string().contains("many times longer than the file"), "{error}");
            return;
        }
    }
    panic!("20 operators share the weights of one");
}

#[test]
fn metadata_is_found() {
    let mut file = File::sound();
    file.metadata = vec![1, 2, 3];
    let bytes = file.bytes();
    let graph = super::graph::Graph::read(&bytes).expect("a graph");
    assert_eq!(graph.metadata(), Some(&[1, 2, 3][..]));
}
