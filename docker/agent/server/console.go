package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// consoleBytes limits the log alone: it is Nova that counts lines, which may be of any length. It passes it on in one
// message. Docker keeps 2 MiB at most (confinement), so that reading all of it is cheap.
const consoleBytes = 256 << 10

// console sends the end of what the container wrote; where its process has ended, how; and what the server did not get
// of what it was to: there is no other place where the server's owner could see that.
func (s *Server) console(w http.ResponseWriter, r *http.Request) (any, error) {
	found, err := s.find(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return nil, err
	}
	logs, err := s.docker.ContainerLogs(r.Context(), found.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "all"})
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	defer logs.Close()
	last := &tail{limit: consoleBytes}
	if found.Config.Tty {
		_, err = io.Copy(last, logs)
	} else {
		_, err = stdcopy.StdCopy(last, last, logs)
	}
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	notice, err := os.ReadFile(filepath.Join(s.serverDir(r.PathValue("uuid")), noticeFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	w.Header().Set("Content-Type", "text/plain")
	_, err = io.WriteString(w, last.kept.String()+ending(found.State)+string(notice))
	return nil, err
}

// ending says how the last run of a process ended; nothing while it runs, or before it did.
func ending(state *container.State) string {
	if state.Running || moment(state.FinishedAt).IsZero() {
		return ""
	}
	reason := ""
	switch {
	case outOfMemory(state):
		reason = ": out of memory"
	case state.Error != "":
		reason = ": " + state.Error
	}
	return fmt.Sprintf("\r\n[ndock] the process ended with status %d at %s%s\r\n", state.ExitCode, moment(state.FinishedAt).UTC().Format(time.RFC3339), reason)
}

// killed is the exit status of a process that SIGKILL has ended.
const killed = 137

// outOfMemory tells whether a server's process was ended for want of memory. Docker says so of every container in which any
// process ever was, since its last start: one whose first process then ends by itself has not. That a stop has killed it, after
// that, cannot be told from it.
func outOfMemory(state *container.State) bool {
	return state.OOMKilled && !state.Running && state.ExitCode == killed
}

// tail keeps the last bytes written to it. The buffer is not embedded: io.Copy would find its ReadFrom, and write
// past the limit.
type tail struct {
	kept  bytes.Buffer
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	n, err := t.kept.Write(p)
	t.kept.Next(max(0, t.kept.Len()-t.limit))
	return n, err
}
