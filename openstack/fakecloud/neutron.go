package fakecloud

import "net/http"

func (c *Cloud) neutron(mux *http.ServeMux) {
	mux.HandleFunc("GET /network/{$}", versions("v2.0"))
	c.list(mux, Network, "/network/v2.0/networks")
	c.one(mux, Network, "/network/v2.0/networks/{id}", "Network %s could not be found.",
		func(w http.ResponseWriter, status int, message string) {
			answer(w, status, Object{"NeutronError": Object{"type": "NetworkNotFound", "message": message, "detail": ""}})
		})
}
