package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"ndock/docker/agent"
	"ndock/docker/agent/devices"
	"ndock/docker/engine"
	"ndock/docker/network"
)

// Reports has the verbs that only read: diagnostics and the console log.
type Reports struct {
	engine     engine.Containers
	containers *Containers
	dirs       directories
	devices    *devices.Devices
}

// Diagnostics returns the container's state and use of resources, and how its last run ended.
func (r *Reports) Diagnostics(ctx context.Context, uuid string) (agent.Diagnostics, error) {
	found, err := r.containers.Find(ctx, uuid)
	if err != nil {
		return agent.Diagnostics{}, err
	}
	report := agent.Diagnostics{
		State: stateOf(found.State.Status), ExitCode: found.State.ExitCode, OOMKilled: r.containers.outOfMemory(found), Error: found.State.Error,
		StartedAt: parseTime(found.State.StartedAt), FinishedAt: parseTime(found.State.FinishedAt), NICs: []agent.NIC{},
	}
	if report.Devices, err = r.devices.Of(uuid, found.ID); err != nil {
		return report, err
	}
	if found.State.Health != nil {
		report.Health = string(found.State.Health.Status)
	}
	if !found.State.Running {
		return report, nil
	}
	up := int(time.Since(report.StartedAt).Seconds())
	report.Uptime = &up
	if err := r.measure(ctx, &report, found.ID); err != nil {
		return report, fmt.Errorf("measure: %w", err)
	}
	report.NICs, err = nics(found.ID)
	return report, err
}

func (r *Reports) measure(ctx context.Context, report *agent.Diagnostics, id string) error {
	stats, err := measure(ctx, r.engine, id)
	report.CPUTime = stats.CPUStats.CPUUsage.TotalUsage
	report.MemoryUsed, report.MemoryLimit = stats.MemoryStats.Usage, stats.MemoryStats.Limit
	report.Processes = stats.PidsStats.Current
	return err
}

func nics(id string) ([]agent.NIC, error) {
	all := []agent.NIC{}
	traffic, err := network.Statistics(network.NetnsPath(id))
	for _, n := range traffic {
		all = append(all, agent.NIC{
			Name: n.Name, MAC: n.MAC,
			RxBytes: n.RxBytes, RxPackets: n.RxPackets, RxErrors: n.RxErrors, RxDropped: n.RxDropped,
			TxBytes: n.TxBytes, TxPackets: n.TxPackets, TxErrors: n.TxErrors, TxDropped: n.TxDropped,
		})
	}
	return all, err
}

// parseTime reads a time of Docker's, which is zero for what has not happened.
func parseTime(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// logBytes is the most that is returned of the output. Nova counts lines itself, which may have any length, and passes all on
// in one message. Docker keeps 2 MiB at most (see confinement), so reading all of it is cheap.
const logBytes = 256 << 10

// Log returns the end of the container's output, how its process ended, and the server's notice: there is no other place
// where the server's owner could see these.
func (r *Reports) Log(ctx context.Context, uuid string) (string, error) {
	found, err := r.containers.Find(ctx, uuid)
	if err != nil {
		return "", err
	}
	logs, err := r.engine.ContainerLogs(ctx, found.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "all"})
	if err != nil {
		return "", fmt.Errorf("read the log: %w", err)
	}
	defer logs.Close()
	last := &tail{limit: logBytes}
	if found.Config.Tty {
		_, err = io.Copy(last, logs)
	} else {
		_, err = stdcopy.StdCopy(last, last, logs)
	}
	if err != nil {
		return "", fmt.Errorf("read the log: %w", err)
	}
	notice, err := os.ReadFile(r.dirs.notice(uuid))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return last.kept.String() + ending(found.State, r.containers.outOfMemory(found)) + string(notice), nil
}

// ending says how the last run of a process ended. It is empty while the process runs, and before it first did.
func ending(state *container.State, outOfMemory bool) string {
	if state.Running || parseTime(state.FinishedAt).IsZero() {
		return ""
	}
	reason := ""
	switch {
	case outOfMemory:
		reason = ": out of memory"
	case state.Error != "":
		reason = ": " + state.Error
	}
	return fmt.Sprintf("\r\n[ndock] the process ended with status %d at %s%s\r\n", state.ExitCode, parseTime(state.FinishedAt).UTC().Format(time.RFC3339), reason)
}

// tail keeps the last bytes written to it. The buffer is not embedded: io.Copy would use its ReadFrom, and write past the
// limit.
type tail struct {
	kept  bytes.Buffer
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	n, err := t.kept.Write(p)
	t.kept.Next(max(0, t.kept.Len()-t.limit))
	return n, err
}
