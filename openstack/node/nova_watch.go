package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// stays waits until nova-compute has been up long enough to have loaded its driver: an init script calls it started
// before that.
func (n *compute) stays(ctx context.Context) error {
	up := errors.New("still up")
	err := await(ctx, n.Patience.Poll, n.Patience.Compute, func(ctx context.Context) error {
		pid, err := n.pid(ctx)
		switch {
		case ctx.Err() != nil: // the time was up while the service manager thought
		case err != nil:
			return &hopeless{err}
		case pid == 0:
			return &hopeless{fmt.Errorf("%s ended soon after it was started", n.Layout.Compute.Name)}
		}
		return up
	})
	if errors.Is(err, up) {
		return nil
	}
	return n.explain(err)
}

// explain adds the last thing that nova-compute complained about since it was started.
func (n *compute) explain(err error) error {
	if complaint := lastError(n.log(), n.logged); complaint != "" {
		err = fmt.Errorf("%w: %s", err, complaint)
	}
	return advise(err, "see what it says: %s", n.Services.ReadLog(n.Layout.Compute))
}

func (n *compute) log() string { return n.Layout.Path(n.Layout.Compute.Log) }

// lastError returns the last line of a log of Nova, behind an offset, that is an error's.
func lastError(path string, from int64) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	if from > int64(len(content)) { // it was rotated meanwhile
		from = 0
	}
	found := ""
	for line := range strings.Lines(string(content[from:])) {
		if strings.Contains(line, " ERROR ") || strings.Contains(line, " CRITICAL ") {
			found = strings.TrimSpace(line)
		}
	}
	return found
}

// recent is how much of a log's end is looked at, in bytes.
const recent = 1 << 20

// lastErrorOf returns the last line at the end of a log of Nova that is an error of this process.
func lastErrorOf(path string, pid int) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > recent {
		_, _ = file.Seek(-recent, io.SeekEnd) // from the beginning, if it cannot be
	}
	content, _ := io.ReadAll(io.LimitReader(file, 2*recent)) // what was read counts
	found := ""
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, fmt.Sprintf(" %d ERROR ", pid)) || strings.Contains(line, fmt.Sprintf(" %d CRITICAL ", pid)) {
			found = strings.TrimSpace(line)
		}
	}
	const enough = 300
	return found[:min(len(found), enough)]
}
