package fakecloud

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// SerialPrompt is what a server's console says first.
const SerialPrompt = "\x1b[1m# "

// remoteConsole gives the address of a server's serial console, in which is a token that is good once.
func (c *Cloud) remoteConsole(w http.ResponseWriter, _ *http.Request, server Object) {
	switch {
	case c.faults[NoConsole]:
		refuse(w, http.StatusBadRequest, "Unavailable console type serial.")
		return
	case server["status"] != "ACTIVE":
		refuse(w, http.StatusConflict, fmt.Sprintf("Instance %s is not ready", server.id()))
		return
	}
	token := fmt.Sprintf("secret-%d", c.requests)
	c.consoles[token] = server
	address := strings.Replace(c.server.URL, "http:", "ws:", 1) + "/serial/?token=" + token
	answer(w, http.StatusOK, Object{"remote_console": Object{"type": "serial", "protocol": "serial", "url": address}})
}

// serial is the proxy, and at its other end what repeats all that is typed. At "exit" the server stops.
func (c *Cloud) serial(w http.ResponseWriter, r *http.Request) {
	server, drops := c.admit(r.URL.Query().Get("token"))
	console, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}})
	if err != nil {
		return
	}
	defer console.CloseNow()
	if server == nil || drops || console.Write(r.Context(), websocket.MessageBinary, []byte(SerialPrompt)) != nil {
		return
	}
	for {
		_, typed, err := console.Read(r.Context())
		if err != nil || console.Write(r.Context(), websocket.MessageBinary, typed) != nil {
			return
		}
		if bytes.Contains(typed, []byte("exit")) {
			c.mu.Lock()
			c.become(server, "SHUTOFF")
			c.mu.Unlock()
			return
		}
	}
}

// admit uses up a token. It also tells whether this connection breaks at once.
func (c *Cloud) admit(token string) (server Object, drops bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	server = c.consoles[token]
	delete(c.consoles, token)
	drops = c.faults[ConsoleDrops]
	delete(c.faults, ConsoleDrops)
	return server, drops
}
