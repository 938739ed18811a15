'use strict';
// What the server sends, as plain values: {status, type, body}. front_end.js puts them on the wire.

function json(status, value) {
  return { status, type: 'application/json', body: JSON.stringify(value) };
}

// JSON that is text already.
function jsonText(status, body) {
  return { status, type: 'application/json', body };
}

function text(status, body) {
  return { status, type: 'text/plain; charset=utf-8', body };
}

function html(status, body) {
  return { status, type: 'text/html', body };
}

// A body that never comes whole: its first bytes, and no more.
function stalled(status) {
  return { status, type: 'application/json', body: '{"model_name":', unending: 'stalled' };
}

// A body that is sent for as long as somebody reads it, up to 10 GB.
function endless(status) {
  return { status, type: 'application/json', body: '{"error":"', unending: 'endless' };
}

function empty(status) {
  return { status, body: '' };
}

// Triton's form of every failure.
function failure(status, message) {
  return json(status, { error: message });
}

module.exports = { json, jsonText, text, html, empty, endless, failure, stalled };
