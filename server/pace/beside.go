package pace

import (
	"context"
	"runtime"
	"sync"
)

// beside counts what takes long at present, of all servers of the process.
var beside struct {
	sync.Mutex
	count, processors int
}

// WhileServing does what takes long without keeping queries waiting. It returns nil when the context has ended: nobody has a use for the
// outcome then, and what is not done yet ends by itself.
func WhileServing[T any](ctx context.Context, do func() *T) *T {
	done := make(chan *T, 1)
	go func() { besideServing(func() { done <- do() }) }()
	select {
	case outcome := <-done:
		return outcome
	case <-ctx.Done():
		return nil
	}
}

// besideServing does what takes long without keeping queries waiting.
func besideServing(do func()) {
	defer Beside()()
	do()
}

// Beside makes room for goroutines that compute much beside those that answer, until end is called. The Go runtime looks for packets at once
// only while one of its processors has nothing else to do, so it gets as many again; between the threads on them the kernel chooses, and
// those that compute must [Yield] to those that answer, or be few.
func Beside() (end func()) {
	beside.Lock()
	defer beside.Unlock()
	if beside.count++; beside.count == 1 {
		beside.processors = runtime.GOMAXPROCS(0)
		runtime.GOMAXPROCS(2 * beside.processors)
	}
	return sync.OnceFunc(func() {
		beside.Lock()
		defer beside.Unlock()
		if beside.count--; beside.count == 0 {
			runtime.GOMAXPROCS(beside.processors)
		}
	})
}

// Rests returns what a long loop calls in each turn, to [yield] in some of them.
func Rests() func() {
	turns := 0
	return func() {
		if turns++; turns%64 == 0 {
			Yield()
		}
	}
}
