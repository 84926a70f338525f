package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// ovsdbClient asks a database server of Open vSwitch's, by JSON-RPC (RFC 7047). libovsdb's own client keeps a copy of the
// database and metrics, which would double the memory that each start of a container takes for this program.
type ovsdbClient struct {
	conn    net.Conn
	answers *json.Decoder
	asked   int // requests so far
}

// ovsdbMessage is a request, where it has a method, or an answer.
type ovsdbMessage struct {
	Method string          `json:"method,omitempty"`
	Params any             `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
	ID     any             `json:"id"`
}

// dialOVSDB connects to the server at a socket. All that is asked ends with the context's deadline.
func dialOVSDB(ctx context.Context, socket string) (*ovsdbClient, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline.Add(time.Second)); err != nil { // so that a caller's own wait ends first, with a better reason
			return nil, errors.Join(err, conn.Close())
		}
	}
	return &ovsdbClient{conn: conn, answers: json.NewDecoder(conn)}, nil
}

func (c *ovsdbClient) close() { c.conn.Close() }

// transact does all of the operations on a database, or none.
func (c *ovsdbClient) transact(database string, operations []ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	answer, err := c.call("transact", ovsdb.NewTransactArgs(database, operations...))
	if err != nil {
		return nil, fmt.Errorf("ask Open vSwitch: %w", err)
	}
	var results []ovsdb.OperationResult
	if err := json.Unmarshal(answer, &results); err != nil {
		return nil, fmt.Errorf("read what Open vSwitch answers: %w", err)
	}
	return results, nil
}

// call sends a request and returns its answer.
func (c *ovsdbClient) call(method string, params any) (json.RawMessage, error) {
	c.asked++
	if err := c.send(ovsdbMessage{Method: method, Params: params, ID: c.asked}); err != nil {
		return nil, err
	}
	for {
		var got ovsdbMessage
		if err := c.answers.Decode(&got); err != nil {
			return nil, err
		}
		switch {
		case got.Method == "echo": // the server asks whether this end is still there
			if err := c.echo(got); err != nil {
				return nil, err
			}
		case got.Method != "": // a notification
		case len(got.Error) > 0 && !bytes.Equal(got.Error, []byte("null")):
			return nil, fmt.Errorf("%s", got.Error)
		default:
			return got.Result, nil
		}
	}
}

func (c *ovsdbClient) echo(asked ovsdbMessage) error {
	params, err := json.Marshal(asked.Params)
	if err != nil {
		return err
	}
	return c.send(ovsdbMessage{Result: params, Error: json.RawMessage("null"), ID: asked.ID})
}

func (c *ovsdbClient) send(message ovsdbMessage) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = c.conn.Write(text)
	return err
}
