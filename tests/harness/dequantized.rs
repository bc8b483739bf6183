//! A quantized detector's file with all its numbers real: what tract runs, and an oracle for
//! the quantized engine.

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use tract_tflite::tflite::{
    self, ActivationFunctionType, BuiltinOperator, BuiltinOptions, TensorType,
};

type Options = (BuiltinOptions, WIPOffset<UnionWIPOffset>);

/// The file, whose graph then has `outputs`, by their names, or those it had.
///
/// Where an activation is not said but implied by the range of the stored values, it is said.
pub fn dequantized(bytes: &[u8], outputs: Option<&[&str]>) -> Vec<u8> {
    let model = tflite::root_as_model(bytes).expect("a TFLite file");
    let graph = model.subgraphs().expect("a graph").get(0);
    let tensors: Vec<_> = graph.tensors().expect("tensors").iter().collect();
    let operators: Vec<_> = graph.operators().expect("operators").iter().collect();
    let codes: Vec<_> = model.operator_codes().expect("codes").iter().collect();
    let code = |operator: &tflite::Operator<'_>| {
        let code = &codes[usize::try_from(operator.opcode_index()).expect("small")];
        BuiltinOperator(i32::from(code.deprecated_builtin_code()).max(code.builtin_code().0))
    };
    let weighted =
        |code| matches!(code, BuiltinOperator::CONV_2D | BuiltinOperator::DEPTHWISE_CONV_2D);
    let biases: Vec<i32> = operators
        .iter()
        .filter(|operator| weighted(code(operator)))
        .map(|operator| operator.inputs().expect("inputs").get(2))
        .collect();

    let mut builder = FlatBufferBuilder::new();
    let b = &mut builder;
    let (mut buffers, mut made) = (Vec::new(), Vec::new());
    for (tensor, number) in tensors.iter().zip(0..) {
        let data = model.buffers().expect("buffers").get(tensor.buffer() as usize).data();
        let data = data.map_or(&[][..], |data| data.bytes());
        let is_real = tensor.type_() == TensorType::UINT8 || biases.contains(&number);
        let data = if is_real { real(tensor, data) } else { data.to_vec() };
        let data = Some(b.create_vector(&data));
        buffers.push(tflite::Buffer::create(b, &tflite::BufferArgs { data }));
        let shape: Vec<i32> = tensor.shape().into_iter().flatten().collect();
        let args = tflite::TensorArgs {
            shape: Some(b.create_vector(&shape)),
            type_: if is_real { TensorType::FLOAT32 } else { tensor.type_() },
            buffer: u32::try_from(number).expect("small"),
            name: tensor.name().map(|name| b.create_string(name)),
            ..Default::default()
        };
        made.push(tflite::Tensor::create(b, &args));
    }
    let steps: Vec<_> = operators
        .iter()
        .map(|operator| {
            let output = operator.outputs().expect("outputs").get(0);
            let ends = implied(&tensors[usize::try_from(output).expect("a tensor")]);
            copied(b, operator, code(operator), ends)
        })
        .collect();
    let codes: Vec<_> = codes.iter().map(|code| copied_code(b, code)).collect();
    let named = |name: &&str| {
        let found = tensors.iter().position(|tensor| tensor.name() == Some(name));
        i32::try_from(found.expect("a tensor of that name")).expect("small")
    };
    let outputs: Vec<i32> = match outputs {
        Some(names) => names.iter().map(named).collect(),
        None => graph.outputs().expect("outputs").iter().collect(),
    };
    let inputs: Vec<i32> = graph.inputs().expect("inputs").iter().collect();
    let subgraph = tflite::SubGraphArgs {
        tensors: Some(b.create_vector(&made)),
        inputs: Some(b.create_vector(&inputs)),
        outputs: Some(b.create_vector(&outputs)),
        operators: Some(b.create_vector(&steps)),
        name: None,
    };
    let subgraph = tflite::SubGraph::create(b, &subgraph);
    let args = tflite::ModelArgs {
        version: 3,
        operator_codes: Some(b.create_vector(&codes)),
        subgraphs: Some(b.create_vector(&[subgraph])),
        buffers: Some(b.create_vector(&buffers)),
        ..Default::default()
    };
    let model = tflite::Model::create(b, &args);
    tflite::finish_model_buffer(b, model);
    builder.finished_data().to_vec()
}

/// The real numbers of a constant, as bytes.
fn real(tensor: &tflite::Tensor<'_>, data: &[u8]) -> Vec<u8> {
    let (scale, zero) = step(tensor);
    let real = |steps: i32| (scale * steps as f32).to_le_bytes();
    if tensor.type_() == TensorType::UINT8 {
        return data.iter().flat_map(|it| real(i32::from(*it) - zero)).collect();
    }
    data.as_chunks().0.iter().flat_map(|it| real(i32::from_le_bytes(*it))).collect()
}

fn step(tensor: &tflite::Tensor<'_>) -> (f32, i32) {
    let quantization = tensor.quantization().expect("a quantized tensor");
    let zero = quantization.zero_point().map_or(0, |zeros| zeros.get(0));
    let scale = quantization.scale().expect("a scale").get(0);
    (scale, i32::try_from(zero).expect("small"))
}

/// Values from 0 to 6 are what a `RELU6` left.
fn implied(output: &tflite::Tensor<'_>) -> Option<ActivationFunctionType> {
    if output.type_() != TensorType::UINT8 {
        return None;
    }
    let (scale, zero) = step(output);
    (zero == 0 && (scale * 255.0 - 6.0).abs() < 0.1).then_some(ActivationFunctionType::RELU6)
}

fn copied_code<'a>(
    b: &mut FlatBufferBuilder<'a>,
    code: &tflite::OperatorCode<'_>,
) -> WIPOffset<tflite::OperatorCode<'a>> {
    let args = tflite::OperatorCodeArgs {
        deprecated_builtin_code: code.deprecated_builtin_code(),
        custom_code: code.custom_code().map(|name| b.create_string(name)),
        version: code.version(),
        builtin_code: code.builtin_code(),
    };
    tflite::OperatorCode::create(b, &args)
}

fn copied<'a>(
    b: &mut FlatBufferBuilder<'a>,
    operator: &tflite::Operator<'_>,
    code: BuiltinOperator,
    activation: Option<ActivationFunctionType>,
) -> WIPOffset<tflite::Operator<'a>> {
    let options = options(b, operator, code, activation);
    let numbers = |list: Option<flatbuffers::Vector<'_, i32>>| -> Vec<i32> {
        list.into_iter().flatten().collect()
    };
    let (inputs, outputs) = (numbers(operator.inputs()), numbers(operator.outputs()));
    let custom = operator.custom_options().map(|bytes| b.create_vector(bytes.bytes()));
    let (kind, options) = options.unzip();
    let args = tflite::OperatorArgs {
        opcode_index: operator.opcode_index(),
        inputs: Some(b.create_vector(&inputs)),
        outputs: Some(b.create_vector(&outputs)),
        builtin_options_type: kind.unwrap_or_default(),
        builtin_options: options,
        custom_options: custom,
        ..Default::default()
    };
    tflite::Operator::create(b, &args)
}

/// The options of what the COCO SSD is made of.
fn options(
    b: &mut FlatBufferBuilder<'_>,
    operator: &tflite::Operator<'_>,
    code: BuiltinOperator,
    activation: Option<ActivationFunctionType>,
) -> Option<Options> {
    match code {
        BuiltinOperator::CONV_2D => {
            let from = operator.builtin_options_as_conv_2_doptions()?;
            let args = tflite::Conv2DOptionsArgs {
                padding: from.padding(),
                stride_w: from.stride_w(),
                stride_h: from.stride_h(),
                fused_activation_function: activation.unwrap_or(from.fused_activation_function()),
                dilation_w_factor: from.dilation_w_factor(),
                dilation_h_factor: from.dilation_h_factor(),
            };
            let made = tflite::Conv2DOptions::create(b, &args).as_union_value();
            Some((BuiltinOptions::Conv2DOptions, made))
        }
        BuiltinOperator::DEPTHWISE_CONV_2D => {
            let from = operator.builtin_options_as_depthwise_conv_2_doptions()?;
            let args = tflite::DepthwiseConv2DOptionsArgs {
                padding: from.padding(),
                stride_w: from.stride_w(),
                stride_h: from.stride_h(),
                depth_multiplier: from.depth_multiplier(),
                fused_activation_function: activation.unwrap_or(from.fused_activation_function()),
                dilation_w_factor: from.dilation_w_factor(),
                dilation_h_factor: from.dilation_h_factor(),
            };
            let made = tflite::DepthwiseConv2DOptions::create(b, &args).as_union_value();
            Some((BuiltinOptions::DepthwiseConv2DOptions, made))
        }
        BuiltinOperator::RESHAPE => {
            let from = operator.builtin_options_as_reshape_options()?;
            let sides: Vec<i32> = from.new_shape().into_iter().flatten().collect();
            let args = tflite::ReshapeOptionsArgs { new_shape: Some(b.create_vector(&sides)) };
            let made = tflite::ReshapeOptions::create(b, &args).as_union_value();
            Some((BuiltinOptions::ReshapeOptions, made))
        }
        BuiltinOperator::CONCATENATION => {
            let from = operator.builtin_options_as_concatenation_options()?;
            let args = tflite::ConcatenationOptionsArgs {
                axis: from.axis(),
                fused_activation_function: from.fused_activation_function(),
            };
            let made = tflite::ConcatenationOptions::create(b, &args).as_union_value();
            Some((BuiltinOptions::ConcatenationOptions, made))
        }
        _ => None,
    }
}
