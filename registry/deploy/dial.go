package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"ndock/registry"
	"ndock/registry/control"
)

// controlSocket is that of the registry in the container, in a file system in memory.
const (
	controlDir    = "/run/ndock-registry"
	controlSocket = controlDir + "/control.sock"
)

// Execer is what it takes of Docker Engine to run a program in a container.
type Execer interface {
	ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error)
	ContainerExecCreate(ctx context.Context, id string, options container.ExecOptions) (container.ExecCreateResponse, error)
	ContainerExecAttach(ctx context.Context, id string, options container.ExecAttachOptions) (types.HijackedResponse, error)
}

var _ Execer = (*client.Client)(nil)

// Dial connects to the control socket of this host's registry.
func Dial(systemd Systemd, engine Execer) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		unit, err := systemd.unit()
		switch {
		case err != nil:
			return nil, err
		case unit == nil:
			return DialContainer(engine)(ctx)
		}
		if unitData(unit) == inGlance {
			return nil, errGlanceCollects
		}
		conn, err := control.Dial(systemd.path(onHost.control))(ctx)
		if errors.Is(err, control.ErrNotListening) {
			return nil, &registry.Error{Op: "look for the registry", Err: errors.New("its service does not run"), Help: "'systemctl start " + serviceName + "' starts it; 'journalctl -u " + serviceName + "' says why it ended"}
		}
		return conn, err
	}
}

// DialContainer connects to the control socket in the container: ndock runs there, and copies between the socket and
// its stdin and stdout.
func DialContainer(engine Execer) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		if err := running(ctx, engine); err != nil {
			return nil, err
		}
		made, err := engine.ContainerExecCreate(ctx, containerName, container.ExecOptions{
			Cmd:         []string{"/ndock", "registry", "dial-stdio", controlSocket},
			AttachStdin: true, AttachStdout: true, AttachStderr: true,
		})
		if err != nil {
			return nil, explain("reach into container "+containerName, err)
		}
		attached, err := engine.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
		if err != nil {
			return nil, explain("reach into container "+containerName, err)
		}
		return newExecConn(attached), nil
	}
}

func running(ctx context.Context, engine Execer) error {
	found, err := engine.ContainerInspect(ctx, containerName)
	if errdefs.IsNotFound(err) || err == nil && !found.State.Running {
		return &registry.Error{Op: "look for the registry", Err: errors.New("it does not run on this host"), Help: "'ndock registry status' tells more; --control names the socket of a 'registry serve'"}
	}
	if err == nil && found.Config.Labels[labelData] == inGlance {
		return errGlanceCollects
	}
	return explain("look for the registry", err)
}

// errGlanceCollects refuses to collect garbage where there is none of the registry's own.
var errGlanceCollects = &registry.Error{
	Err:  errors.New("the registry has its images in Glance, in its users' projects, and no garbage of its own"),
	Help: "'ndock image gc' deletes the layers of a project that none of its images needs",
}

// execConn is a connection through a program in a container.
type execConn struct {
	net.Conn
	out   *io.PipeReader
	ended chan struct{} // closed when the program has
	cause error         // why it has
}

func newExecConn(attached types.HijackedResponse) net.Conn {
	out, in := io.Pipe()
	c := &execConn{Conn: attached.Conn, out: out, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		var said tail
		_, err := stdcopy.StdCopy(in, &said, attached.Reader)
		if err == nil && len(said) > 0 {
			c.cause = fmt.Errorf("in the container: %s", said)
			err = c.cause
		}
		in.CloseWithError(err)
	}()
	return c
}

// Read implements net.Conn.
func (c *execConn) Read(p []byte) (int, error) { return c.out.Read(p) }

// Write implements net.Conn. If the program has ended, the error is what it has said.
func (c *execConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		<-c.ended
		err = cmp.Or(c.cause, err)
	}
	return n, err
}

// Close implements net.Conn. It closes the program's stdin, which ends the program.
func (c *execConn) Close() error {
	c.out.Close()
	return c.Conn.Close()
}

// tail keeps the first of what is written, on one line.
type tail []byte

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	for _, b := range p[:min(len(p), 500-min(len(*t), 500))] {
		if b < ' ' {
			b = ' '
		}
		*t = append(*t, b)
	}
	return len(p), nil
}
