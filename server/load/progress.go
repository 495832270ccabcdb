package load

import (
	"sync"
	"sync/atomic"
	"time"
)

// Progress shows how far a long load has come. The zero value shows nothing.
type Progress struct {
	Every time.Duration // from the beginning to the first word, and to each further one
	Tell  func(done, total int)
	End   func() // follows the last word, where there was any; nil is nothing
}

// watch tells how far done has come, until it is ended.
func (p Progress) watch(done *atomic.Int64, total int) (end func()) {
	if p.Tell == nil {
		return func() {}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(p.Every)
		defer tick.Stop()
		for told := false; ; told = true {
			select {
			case <-tick.C:
				p.Tell(int(done.Load()), total)
			case <-stop:
				if told && p.End != nil {
					p.End()
				}
				return
			}
		}
	})
	return func() {
		close(stop)
		wg.Wait()
	}
}
