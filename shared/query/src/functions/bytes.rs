//! Bytes: conversion from and to text, hexadecimal digits, Base64, big-endian numbers, xxHash64.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, BinaryArray, BinaryBuilder, Int64Array, StringArray,
    StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

pub(super) fn functions() -> Vec<Scalar> {
    let (bytes, text) = (
        || Returns::Type(DataType::Binary),
        || Returns::Type(DataType::Utf8),
    );
    vec![
        Scalar::new("to_utf8", &[&[ArgType::Text]], bytes(), to_utf8),
        Scalar::new("from_utf8", &[&[ArgType::Bytes]], text(), from_utf8),
        Scalar::new("to_hex", &[&[ArgType::Bytes]], text(), to_hex),
        Scalar::new("from_hex", &[&[ArgType::Text]], bytes(), from_hex),
        Scalar::new("to_base64", &[&[ArgType::Bytes]], text(), to_base64),
        Scalar::new("from_base64", &[&[ArgType::Text]], bytes(), from_base64),
        Scalar::new("xxhash64", &[&[ArgType::Bytes]], bytes(), xxhash64),
        Scalar::new(
            "to_big_endian_64",
            &[&[ArgType::Integer]],
            bytes(),
            to_big_endian_64,
        ),
        Scalar::new(
            "from_big_endian_64",
            &[&[ArgType::Bytes]],
            Returns::Type(DataType::Int64),
            from_big_endian_64,
        ),
    ]
}

fn to_utf8(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let bytes: BinaryArray = texts.iter().map(|text| text.map(str::as_bytes)).collect();
    Ok(Arc::new(bytes))
}

/// Trino has its own rules for how many U+FFFD stand for bytes that are not UTF-8.
fn from_utf8(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let bytes = argument(arguments, 0)?.as_binary::<i32>();
    let texts = bytes
        .iter()
        .map(|bytes| bytes.map(str::from_utf8).transpose());
    match texts.collect::<Result<StringArray, _>>() {
        Ok(texts) => Ok(Arc::new(texts)),
        Err(_) => exec_err!("from_utf8 takes UTF-8 alone on this engine: write to_hex"),
    }
}

/// Capital letters, as in Trino.
fn to_hex(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?'));
    let bytes = argument(arguments, 0)?.as_binary::<i32>();
    let mut texts = StringBuilder::with_capacity(bytes.len(), 2 * bytes.value_data().len());
    let mut text = String::new();
    for bytes in bytes {
        let Some(bytes) = bytes else {
            texts.append_null();
            continue;
        };
        text.clear();
        for byte in bytes {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        texts.append_value(&text);
    }
    Ok(Arc::new(texts.finish()))
}

fn from_hex(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    decoded(arguments, "from_hex", |text| {
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
        let byte = |pair: &[u8]| pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        Some(digits.chunks_exact(2).map(byte).collect())
    })
}

fn to_base64(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let bytes = argument(arguments, 0)?.as_binary::<i32>();
    let texts: StringArray = bytes
        .iter()
        .map(|bytes| bytes.map(|bytes| STANDARD.encode(bytes)))
        .collect();
    Ok(Arc::new(texts))
}

fn from_base64(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    decoded(arguments, "from_base64", |text| STANDARD.decode(text).ok())
}

fn decoded(
    arguments: &[ArrayRef],
    name: &str,
    decode: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<ArrayRef> {
    let mut bytes = BinaryBuilder::new();
    for text in argument(arguments, 0)?.as_string_view() {
        match text.map(|text| (text, decode(text))) {
            None => bytes.append_null(),
            Some((_, Some(value))) => bytes.append_value(value),
            Some((text, None)) => return exec_err!("{name} cannot read '{text}'"),
        }
    }
    Ok(Arc::new(bytes.finish()))
}

/// Eight bytes, most significant first, as in Trino.
fn xxhash64(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    const SEED: u64 = 0;
    let hash = |bytes| twox_hash::XxHash64::oneshot(SEED, bytes).to_be_bytes();
    let bytes = argument(arguments, 0)?.as_binary::<i32>();
    let hashes: BinaryArray = bytes.iter().map(|bytes| bytes.map(hash)).collect();
    Ok(Arc::new(hashes))
}

fn to_big_endian_64(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let numbers = argument(arguments, 0)?.as_primitive::<Int64Type>();
    let bytes: BinaryArray = numbers
        .iter()
        .map(|number| number.map(i64::to_be_bytes))
        .collect();
    Ok(Arc::new(bytes))
}

fn from_big_endian_64(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let mut numbers = Vec::new();
    for bytes in argument(arguments, 0)?.as_binary::<i32>() {
        let number = match bytes.map(<[u8; 8]>::try_from) {
            None => None,
            Some(Ok(bytes)) => Some(i64::from_be_bytes(bytes)),
            Some(Err(_)) => return exec_err!("from_big_endian_64 takes exactly eight bytes"),
        };
        numbers.push(number);
    }
    Ok(Arc::new(Int64Array::from(numbers)))
}
