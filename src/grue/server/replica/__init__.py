"""Replicas: machines that hold public files only and answer private queries; and the server's side of it."""
