// syntax=example.org/other/language:1
package main
