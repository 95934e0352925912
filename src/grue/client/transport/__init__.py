"""How a client reaches its server: straight, through a relay, through a proxy; and the tokens that pay."""
