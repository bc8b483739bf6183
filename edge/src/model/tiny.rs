//! A detector of three convolutions, made in memory: what the tests spoil.

use super::Model;
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use std::path::Path;
use tract_tflite::tflite::{self, ActivationFunctionType, BuiltinOperator, TensorType};

/// A tensor as the file will say it.
#[derive(Debug, Clone)]
struct Tensor {
    name: &'static str,
    sides: Vec<i32>,
    type_: TensorType,
    scales: Vec<f32>,
    zero_point: i64,
    data: Vec<u8>,
}

/// An operator as the file will say it.
#[derive(Debug, Clone)]
struct Operator {
    code: BuiltinOperator,
    inputs: Vec<i32>,
    output: i32,
    stride: i32,
    dilation: i32,
    activation: ActivationFunctionType,
    axis: i32,
}

/// The file.
#[derive(Debug, Clone)]
struct File {
    tensors: Vec<Tensor>,
    operators: Vec<Operator>,
    options: Vec<(&'static str, f32)>,
}

impl File {
    /// `[1, 4, 4, 3]` to two anchors a place, two classes and a background.
    fn sound() -> Self {
        use BuiltinOperator as Op;
        let tensors = vec![
            activation("input", &[1, 4, 4, 3]),
            constant("trunk/weights", &[8, 1, 1, 3], TensorType::UINT8),
            constant("trunk/bias", &[8], TensorType::INT32),
            activation("trunk", &[1, 4, 4, 8]),
            constant("boxes/weights", &[8, 1, 1, 8], TensorType::UINT8),
            constant("boxes/bias", &[8], TensorType::INT32),
            activation("boxes", &[1, 4, 4, 8]),
            constant("classes/weights", &[6, 1, 1, 8], TensorType::UINT8),
            constant("classes/bias", &[6], TensorType::INT32),
            activation("classes", &[1, 4, 4, 6]),
            activation("boxes/reshape", &[1, 32, 1, 4]),
            activation("classes/reshape", &[1, 32, 3]),
            activation("boxes/concat", &[1, 32, 1, 4]),
            activation("classes/concat", &[1, 32, 3]),
            activation("boxes/squeeze", &[1, 32, 4]),
            activation("scores", &[1, 32, 3]),
            constant("anchors", &[32, 4], TensorType::UINT8),
            activation("detections", &[1, 10, 4]),
        ];
        let operators = vec![
            operator(Op::CONV_2D, &[0, 1, 2], 3),
            operator(Op::CONV_2D, &[3, 4, 5], 6),
            operator(Op::CONV_2D, &[3, 7, 8], 9),
            operator(Op::RESHAPE, &[6], 10),
            operator(Op::RESHAPE, &[9], 11),
            operator(Op::CONCATENATION, &[10], 12),
            operator(Op::CONCATENATION, &[11], 13),
            operator(Op::SQUEEZE, &[12], 14),
            operator(Op::LOGISTIC, &[13], 15),
            operator(Op::CUSTOM, &[14, 15, 16], 17),
        ];
        let options = vec![
            ("h_scale", 5.0),
            ("max_detections", 10.0),
            ("nms_iou_threshold", 0.6),
            ("nms_score_threshold", 0.0),
            ("num_classes", 2.0),
            ("w_scale", 5.0),
            ("x_scale", 10.0),
            ("y_scale", 10.0),
        ];
        Self { tensors, operators, options }
    }

    fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).expect("it is there")
    }

    fn option(&mut self, key: &str) -> &mut f32 {
        &mut self.options.iter_mut().find(|(name, _)| *name == key).expect("it is there").1
    }

    fn bytes(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let b = &mut builder;
        let mut buffers = Vec::new();
        let mut tensors = Vec::new();
        for (tensor, buffer) in self.tensors.iter().zip(0..) {
            let data = Some(b.create_vector(&tensor.data));
            buffers.push(tflite::Buffer::create(b, &tflite::BufferArgs { data }));
            tensors.push(tensor.write(b, buffer));
        }
        let mut codes = Vec::new();
        let mut operators = Vec::new();
        for (operator, opcode_index) in self.operators.iter().zip(0..) {
            // Small codes as older files have them, in the first field alone.
            let custom = b.create_string("TFLite_Detection_PostProcess");
            let custom_code = (operator.code == BuiltinOperator::CUSTOM).then_some(custom);
            let deprecated_builtin_code = i8::try_from(operator.code.0).expect("a small code");
            let builtin_code = BuiltinOperator::ADD;
            let args = tflite::OperatorCodeArgs {
                deprecated_builtin_code,
                custom_code,
                version: 1,
                builtin_code,
            };
            codes.push(tflite::OperatorCode::create(b, &args));
            operators.push(operator.write(b, opcode_index, &self.flexbuffer()));
        }
        let subgraph = tflite::SubGraphArgs {
            tensors: Some(b.create_vector(&tensors)),
            inputs: Some(b.create_vector(&[0])),
            outputs: Some(b.create_vector(&[17])),
            operators: Some(b.create_vector(&operators)),
            name: None,
        };
        let subgraph = tflite::SubGraph::create(b, &subgraph);
        let model = tflite::ModelArgs {
            version: 3,
            operator_codes: Some(b.create_vector(&codes)),
            subgraphs: Some(b.create_vector(&[subgraph])),
            buffers: Some(b.create_vector(&buffers)),
            ..Default::default()
        };
        let model = tflite::Model::create(b, &model);
        tflite::finish_model_buffer(b, model);
        builder.finished_data().to_vec()
    }

    /// The options as a map of floats, four bytes wide.
    fn flexbuffer(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut names = Vec::new();
        for (name, _) in &self.options {
            names.push(bytes.len());
            bytes.extend(name.bytes().chain([0]));
        }
        let mut push = |value: usize| {
            bytes.extend(u32::try_from(value).expect("small").to_le_bytes());
            bytes.len()
        };
        let count = self.options.len();
        let keys = push(count);
        for (at, name) in names.into_iter().enumerate() {
            push(keys + 4 * at - name);
        }
        let here = keys + 4 * count;
        push(here - keys);
        push(4);
        push(count);
        let values: Vec<u8> =
            self.options.iter().flat_map(|(_, value)| value.to_le_bytes()).collect();
        bytes.extend(values);
        bytes.extend(vec![3 << 2 | 2; count]);
        let back = u8::try_from(5 * count).expect("small");
        bytes.extend([back, 9 << 2 | 2, 1]);
        bytes
    }

    fn refusal(&self) -> String {
        Model::from_bytes(Path::new("m"), &self.bytes()).expect_err("spoilt").to_string()
    }
}

impl Tensor {
    fn write<'a>(
        &self,
        b: &mut FlatBufferBuilder<'a>,
        buffer: u32,
    ) -> WIPOffset<tflite::Tensor<'a>> {
        let quantization = tflite::QuantizationParametersArgs {
            scale: Some(b.create_vector(&self.scales)),
            zero_point: Some(b.create_vector(&vec![self.zero_point; self.scales.len()])),
            ..Default::default()
        };
        let args = tflite::TensorArgs {
            shape: Some(b.create_vector(&self.sides)),
            type_: self.type_,
            buffer,
            name: Some(b.create_string(self.name)),
            quantization: Some(tflite::QuantizationParameters::create(b, &quantization)),
            ..Default::default()
        };
        tflite::Tensor::create(b, &args)
    }
}

impl Operator {
    fn write<'a>(
        &self,
        b: &mut FlatBufferBuilder<'a>,
        opcode_index: u32,
        custom: &[u8],
    ) -> WIPOffset<tflite::Operator<'a>> {
        let options = self.options(b);
        let (builtin_options_type, builtin_options) = options.unzip();
        let custom = (self.code == BuiltinOperator::CUSTOM).then(|| b.create_vector(custom));
        let args = tflite::OperatorArgs {
            opcode_index,
            inputs: Some(b.create_vector(&self.inputs)),
            outputs: Some(b.create_vector(&[self.output])),
            builtin_options_type: builtin_options_type.unwrap_or_default(),
            builtin_options,
            custom_options: custom,
            ..Default::default()
        };
        tflite::Operator::create(b, &args)
    }

    fn options(
        &self,
        b: &mut FlatBufferBuilder<'_>,
    ) -> Option<(tflite::BuiltinOptions, WIPOffset<UnionWIPOffset>)> {
        match self.code {
            BuiltinOperator::CONV_2D => {
                let args = tflite::Conv2DOptionsArgs {
                    stride_w: self.stride,
                    stride_h: self.stride,
                    dilation_w_factor: self.dilation,
                    dilation_h_factor: self.dilation,
                    fused_activation_function: self.activation,
                    ..Default::default()
                };
                let options = tflite::Conv2DOptions::create(b, &args).as_union_value();
                Some((tflite::BuiltinOptions::Conv2DOptions, options))
            }
            BuiltinOperator::CONCATENATION => {
                let fused_activation_function = self.activation;
                let args =
                    tflite::ConcatenationOptionsArgs { axis: self.axis, fused_activation_function };
                let options = tflite::ConcatenationOptions::create(b, &args).as_union_value();
                Some((tflite::BuiltinOptions::ConcatenationOptions, options))
            }
            _ => None,
        }
    }
}

fn activation(name: &'static str, sides: &[i32]) -> Tensor {
    let data = Vec::new();
    let (sides, scales) = (sides.to_vec(), vec![0.05]);
    Tensor { name, sides, type_: TensorType::UINT8, scales, zero_point: 100, data }
}

fn constant(name: &'static str, sides: &[i32], type_: TensorType) -> Tensor {
    let size = if type_ == TensorType::UINT8 { 1 } else { 4 };
    let count = usize::try_from(sides.iter().product::<i32>()).expect("small") * size;
    // A bias of small numbers, weights of all kinds.
    let byte = |at: usize| if size == 4 && !at.is_multiple_of(4) { 0 } else { at * 37 % 256 };
    let data = (0..count).map(|at| u8::try_from(byte(at)).expect("a byte")).collect();
    Tensor { type_, data, ..activation(name, sides) }
}

fn operator(code: BuiltinOperator, inputs: &[i32], output: i32) -> Operator {
    Operator {
        code,
        inputs: inputs.to_vec(),
        output,
        stride: 1,
        dilation: 1,
        activation: ActivationFunctionType::NONE,
        axis: 1,
    }
}

#[test]
fn a_sound_file_runs() {
    let model = Model::from_bytes(Path::new("m"), &File::sound().bytes()).expect("sound");
    let mut detector = std::sync::Arc::new(model).detector();
    let (input, width, height) = detector.input();
    assert_eq!((input.len(), width, height), (48, 4, 4));
    input.fill(200);
    detector.detect();
    assert_eq!((detector.heads(), detector.head(0).len(), detector.head(1).len()), (2, 128, 96));
}

#[test]
fn what_is_in_the_way_is_named() {
    type Spoil = fn(&mut File);
    let table: [(Spoil, &str); 20] = [
        (|f| f.operators[0].code = BuiltinOperator::ADD, "operator ADD (tensor 'trunk') is not"),
        (|f| f.operators[1].code = BuiltinOperator::ADD, "operator ADD (tensor 'boxes') is not"),
        (|f| f.operators[0].dilation = -1, "(tensor 'trunk'): kernel, stride and input do not"),
        (|f| f.operators[0].stride = 2, "comes to [1, 2, 2, 8], the file says [1, 4, 4, 8]"),
        (|f| f.operators[0].stride = -1, "(tensor 'trunk'): kernel, stride and input do not fit"),
        (
            |f| f.operators[0].activation = ActivationFunctionType::TANH,
            "activation TANH is not supported",
        ),
        (|f| f.operators[5].axis = 2, "operator CONCATENATION (tensor 'boxes/concat') is not"),
        (|f| f.operators[9].code = BuiltinOperator::SOFTMAX, "it ends in operator SOFTMAX"),
        (|f| f.operators[8].code = BuiltinOperator::TANH, "operator TANH (tensor 'scores') is not"),
        (|f| f.operators[0].inputs[0] = 77, "operator CONV_2D names tensor 77, there are 18"),
        (|f| f.operators[3].inputs[0] = 10, "goes in circles"),
        (|f| f.operators.swap(0, 2), "reads 'trunk' before it is written"),
        (|f| f.tensor("trunk").type_ = TensorType::INT8, "'trunk' is INT8, UINT8 is expected"),
        (|f| f.tensor("trunk").scales.push(1.0), "'trunk' has no scale and zero point of its own"),
        (|f| f.tensor("trunk/weights").data.truncate(9), "does not hold 24 values"),
        (|f| f.tensor("boxes/reshape").scales[0] = 0.5, "RESHAPE (tensor 'boxes/reshape') changes"),
        (|f| f.tensor("anchors").sides[0] = 31, "does not hold 124 values"),
        (|f| *f.option("num_classes") = 7.0, "has 3 columns of classes for 7 classes"),
        (|f| *f.option("y_scale") = f32::NAN, "has no usable option y_scale"),
        (|f| f.options.clear(), "has no usable option y_scale"),
    ];
    for (spoil, words) in table {
        let mut file = File::sound();
        spoil(&mut file);
        let refusal = file.refusal();
        assert!(refusal.starts_with("m: ") && refusal.contains(words), "{refusal}");
        assert_eq!(refusal.lines().count(), 1);
    }
}
