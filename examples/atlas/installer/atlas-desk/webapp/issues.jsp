<%@ page contentType="text/html; charset=UTF-8" session="false" %><%@ include file="WEB-INF/desk.jspf" %><!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Issues</title>
<link rel="stylesheet" href="assets/desk.css">
</head>
<body>
<h1>Issues</h1>
<table>
<tr><th>Key</th><th>State</th><th>Priority</th><th>Summary</th></tr>
<% for (String[] row : issues()) { %><tr><% for (String cell : row) { %><td><%= text(cell) %></td><% } %></tr>
<% } %></table>
<p><a href="index.jsp">Back</a></p>
</body>
</html>
