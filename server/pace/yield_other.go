//go:build !linux

package pace

import "runtime"

// Yield lets another goroutine have the processor.
func Yield() { runtime.Gosched() }
