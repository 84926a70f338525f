package deploy

import (
	"context"
	"fmt"
	"net/url"
)

// NotRunning is the error of a registry of this host that does not run.
type NotRunning struct{ State, Kind string }

func (e *NotRunning) Error() string {
	return fmt.Sprintf("the registry is not running: it is %s", e.State)
}

// Hint says what may help.
func (e *NotRunning) Hint() string {
	switch {
	case e.State == Absent:
		return "'ndock registry deploy' makes one"
	case e.Kind == KindService:
		return "'journalctl -u ndock-registry' says why"
	}
	return "'docker logs ndock-registry' says why"
}

// CheckRunning returns a *NotRunning unless the registry runs.
func (s Status) CheckRunning() error {
	if s.State != Running {
		return &NotRunning{State: s.State, Kind: s.Kind}
	}
	return nil
}

// Address returns where this host's registry is reached, HOST:PORT, and whether that is in plain HTTP. It returns a
// *NotRunning if the registry does not run.
func Address(ctx context.Context, host Host) (address string, plain bool, err error) {
	status, err := Find(ctx, host)
	if err != nil {
		return "", false, err
	}
	if err := status.CheckRunning(); err != nil {
		return "", false, err
	}
	at, err := url.Parse(status.URL)
	if err != nil {
		return "", false, fmt.Errorf("read the registry's address: %w", err)
	}
	return at.Host, at.Scheme == "http", nil
}
