//! A detector of three convolutions, made in memory: what the tests spoil.

use super::Model;
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use std::path::Path;
use tract_tflite::tflite::{self, ActivationFunctionType, BuiltinOperator, TensorType};

/// A tensor as the file will say it.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: &'static str,
    pub(super) sides: Vec<i32>,
    pub(super) type_: TensorType,
    pub(super) scales: Vec<f32>,
    pub(super) zero_point: i64,
    /// Along which the scales are.
    pub(super) axis: i32,
    pub(super) data: Vec<u8>,
    /// Its buffer, if not its own.
    pub(super) buffer: Option<u32>,
    /// Its buffer says that the data lies behind the tables.
    pub(super) outside: bool,
    pub(super) variable: bool,
}

/// An operator as the file will say it.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    pub(super) code: BuiltinOperator,
    pub(super) inputs: Vec<i32>,
    pub(super) output: i32,
    pub(super) stride: i32,
    pub(super) dilation: i32,
    pub(super) activation: ActivationFunctionType,
    pub(super) axis: i32,
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) tensors: Vec<Tensor>,
    pub(super) operators: Vec<Operator>,
    pub(super) options: Vec<(&'static str, f32)>,
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
    pub(super) subgraphs: usize,
    /// What stands in the buffer that the list of metadata names.
    pub(super) metadata: Vec<u8>,
}

impl File {
    /// `[1, 4, 4, 3]` to two anchors a place, two classes and a background.
    pub(super) fn sound() -> Self {
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
        Self {
            tensors,
            operators,
            options,
            inputs: vec![0],
            outputs: vec![17],
            subgraphs: 1,
            metadata: Vec::new(),
        }
    }

    pub(super) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).expect("it is there")
    }

    pub(super) fn option(&mut self, key: &str) -> &mut f32 {
        &mut self.options.iter_mut().find(|(name, _)| *name == key).expect("it is there").1
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let b = &mut builder;
        let mut buffers = Vec::new();
        let mut tensors = Vec::new();
        for (tensor, buffer) in self.tensors.iter().zip(0..) {
            buffers.push(tensor.buffer(b));
            tensors.push(tensor.write(b, tensor.buffer.unwrap_or(buffer)));
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
            inputs: Some(b.create_vector(&self.inputs)),
            outputs: Some(b.create_vector(&self.outputs)),
            operators: Some(b.create_vector(&operators)),
            name: None,
        };
        let subgraph = tflite::SubGraph::create(b, &subgraph);
        let buffer = u32::try_from(buffers.len()).expect("few");
        let data = Some(b.create_vector(&self.metadata));
        buffers.push(tflite::Buffer::create(b, &tflite::BufferArgs { data }));
        let name = Some(b.create_string("TFLITE_METADATA"));
        let metadata = tflite::Metadata::create(b, &tflite::MetadataArgs { name, buffer });
        let model = tflite::ModelArgs {
            version: 3,
            metadata: Some(b.create_vector(&[metadata])),
            operator_codes: Some(b.create_vector(&codes)),
            subgraphs: Some(b.create_vector(&vec![subgraph; self.subgraphs])),
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

    /// Why it is no detector.
    pub(super) fn refusal(&self) -> String {
        let read = Model::from_bytes(Path::new("m"), &self.bytes());
        read.map_or_else(|error| error.to_string(), |_| "it is read".into())
    }
}

impl Tensor {
    fn buffer<'a>(&self, b: &mut FlatBufferBuilder<'a>) -> WIPOffset<tflite::Buffer<'a>> {
        let data = Some(b.create_vector(&self.data));
        if !self.outside {
            return tflite::Buffer::create(b, &tflite::BufferArgs { data });
        }
        // A field that this edition of the schema does not know: where in the file it lies.
        let start = b.start_table();
        b.push_slot_always(6, 4096_u64);
        WIPOffset::new(b.end_table(start).value())
    }

    fn write<'a>(
        &self,
        b: &mut FlatBufferBuilder<'a>,
        buffer: u32,
    ) -> WIPOffset<tflite::Tensor<'a>> {
        let quantization = tflite::QuantizationParametersArgs {
            scale: Some(b.create_vector(&self.scales)),
            zero_point: Some(b.create_vector(&vec![self.zero_point; self.scales.len()])),
            quantized_dimension: self.axis,
            ..Default::default()
        };
        let args = tflite::TensorArgs {
            shape: Some(b.create_vector(&self.sides)),
            type_: self.type_,
            buffer,
            name: Some(b.create_string(self.name)),
            is_variable: self.variable,
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
    Tensor {
        name,
        sides: sides.to_vec(),
        type_: TensorType::UINT8,
        scales: vec![0.05],
        zero_point: 100,
        axis: 0,
        data: Vec::new(),
        buffer: None,
        outside: false,
        variable: false,
    }
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
