//go:build !linux

package server

import "runtime"

// yield lets another goroutine have the processor.
func yield() { runtime.Gosched() }
