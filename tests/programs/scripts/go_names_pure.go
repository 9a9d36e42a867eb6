//go:build !cgo

package main

const byName = false
